"""One host's connection: hello first, one answer for each request, and bounds on what a host uses up (spec.md §4)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from procvision_sdk.errors import ErrorCode, NotAllowedError, StationError
from procvision_sdk.wire import framing
from procvision_sdk.wire.body import encode
from procvision_sdk.wire.host_messages import ArenaDescription, Event, HostHello, HostRequest, Lease, Status, Welcome
from runner.config import HostConfig
from runner.host.link import Link
from tests.doubles.wire import WireInMemory

HELLO = {"type": "hello", "request_id": "h", "client_id": "line-3"}
NEVER_S = 3600.0
PATIENT = HostConfig(hello_s=NEVER_S, body_s=NEVER_S)
AT_ONCE_S = 1e-9


class DeskInMemory:
    """Answers `status` at once, `lease` when the test says so, and refuses the rest."""

    def __init__(self) -> None:
        self.heard: list[HostRequest] = []
        self.open: list[asyncio.Future[bytes]] = []
        self.gone: list[Link] = []
        self.welcomed = 0

    def welcome(self, link: Link, hello: HostHello) -> Welcome:
        self.welcomed += 1
        if hello.token == "wrong":
            raise NotAllowedError("hello: the token is missing or wrong")
        link.client_id = hello.client_id or "random"
        arena = ArenaDescription(segment="pv-s", size_bytes=1, slot_count=1, slot_capacity_bytes=1)
        return Welcome(
            request_id=hello.request_id,
            runner_version="1",
            station="s",
            client_id=link.client_id,
            roles=["inspect"],
            arena=arena,
        )

    def answer(self, link: Link, request: HostRequest, received_at_s: float) -> bytes | Awaitable[bytes]:
        assert link.client_id
        assert received_at_s > 0
        self.heard.append(request)
        if isinstance(request, Status):
            return answer_of(request.request_id)
        if isinstance(request, Lease):
            waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.open.append(waiting)
            return waiting
        raise StationError("no slot is free", hint="release", code=ErrorCode.BUSY)

    def link_gone(self, link: Link) -> None:
        self.gone.append(link)


def answer_of(request_id: str) -> bytes:
    return encode({"type": "result", "request_id": request_id, "status": "OK"})


class Connection:
    """A link, its desk, and the host's end of the wire."""

    def __init__(self, config: HostConfig = PATIENT) -> None:
        self.desk = DeskInMemory()
        self.lost: list[Link] = []
        self.link = Link(self.desk, config, self.lost.append)
        self.wire = WireInMemory(self.link)

    def ask(self, kind: str, request_id: str, **fields: Any) -> list[dict[str, Any]]:
        self.wire.say({"type": kind, "request_id": request_id, **fields})
        return self.wire.hear()

    async def end(self) -> None:
        self.wire.close()
        for waiting in self.desk.open:
            waiting.cancel()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def connected(
    test: Callable[[Connection], Coroutine[Any, Any, None]], config: HostConfig = PATIENT, *, greeted: bool = True
) -> None:
    """Runs a test on a fresh connection, after its hello unless the test is about that."""

    async def run() -> None:
        connection = Connection(config)
        if greeted:
            connection.wire.say(HELLO)
            assert connection.wire.hear()[0]["type"] == "hello"
        await test(connection)
        await connection.end()
        assert connection.desk.gone == connection.lost == [connection.link]

    asyncio.run(run())


def code_of(messages: list[dict[str, Any]]) -> tuple[str, str | None, str]:
    """(type, request_id, error code) of the one message there is."""
    (message,) = messages
    return message["type"], message.get("request_id"), message.get("error_code", "")


def test_hello_is_answered_by_hello_and_nothing_else() -> None:
    async def test(one: Connection) -> None:
        one.wire.say({"type": "hello"})
        (welcome,) = one.wire.hear()
        assert (welcome["type"], welcome["client_id"], welcome["status"]) == ("hello", "random", "OK")
        assert welcome["arena"]["segment"] == "pv-s"
        assert not one.wire.closed

    connected(test, greeted=False)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ({"type": "status", "request_id": "r"}, ("result", "r", ErrorCode.NOT_ALLOWED)),
        ({"type": "ping"}, ("error", None, ErrorCode.NOT_ALLOWED)),
        ({"type": "hello", "token": "wrong"}, ("error", None, ErrorCode.NOT_ALLOWED)),
        ({"type": "hello", "client_id": 3}, ("error", None, ErrorCode.SCHEMA)),
        ({}, ("error", None, ErrorCode.SCHEMA)),
    ],
    ids=["request", "ping", "wrong token", "bad hello", "no type"],
)
def test_a_link_that_does_not_begin_with_a_good_hello_is_told_and_closed(first: dict[str, Any], told: object) -> None:
    async def test(one: Connection) -> None:
        one.wire.say(first, HELLO, {"type": "status", "request_id": "r2"})
        assert code_of(one.wire.hear()) == told
        assert one.wire.closed
        assert one.desk.heard == []
        assert one.link.client_id == ""

    connected(test, greeted=False)


def test_what_came_in_one_piece_with_what_closed_the_link_is_not_heard() -> None:
    async def test(one: Connection) -> None:
        one.wire.say(*[{"type": "hello", "token": "wrong"}] * 3)
        assert one.desk.welcomed == 1
        assert len(one.wire.hear()) == 1

    connected(test, greeted=False)


def test_a_second_hello_is_refused_and_the_link_lives() -> None:
    async def test(one: Connection) -> None:
        one.wire.say({**HELLO, "client_id": "another"})
        assert code_of(one.wire.hear()) == ("result", "h", ErrorCode.NOT_ALLOWED)
        assert one.link.client_id == "line-3"
        assert code_of(one.ask("status", "r")) == ("result", "r", "")

    connected(test)


def test_requests_stuck_together_and_cut_anywhere_get_one_answer_each() -> None:
    async def test(one: Connection) -> None:
        asked = [{"type": "status", "request_id": f"r{number}"} for number in range(5)]
        one.wire.say(*asked)
        assert [message["request_id"] for message in one.wire.hear()] == ["r0", "r1", "r2", "r3", "r4"]
        for byte in framing.encode(encode(asked[0])):
            one.wire.send(bytes([byte]))
        assert [message["request_id"] for message in one.wire.hear()] == ["r0"]

    connected(test)


def test_ping_is_answered_by_pong_also_when_too_many_requests_wait() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        assert one.ask("ping", "p") == [{"type": "pong", "request_id": "p", "status": "OK"}]
        one.wire.say({"type": "ping"})
        assert one.wire.hear() == [{"type": "pong", "status": "OK"}]

    connected(test, HostConfig(hello_s=NEVER_S, body_s=NEVER_S, max_outstanding=1))


BAD_FRAMES = [
    (b"", None, ErrorCode.BAD_FRAME),
    (b"{", None, ErrorCode.BAD_FRAME),
    (b"\xff\xfe", None, ErrorCode.BAD_FRAME),
    (b"[]", None, ErrorCode.BAD_FRAME),
    (b'{"a": NaN}', None, ErrorCode.BAD_FRAME),
    (b'{"request_id": "r", "request_id": "s"}', None, ErrorCode.BAD_FRAME),
    (b"{}", None, ErrorCode.SCHEMA),
    (b'{"type": "status"}', None, ErrorCode.SCHEMA),
    (b'{"type": "status", "request_id": 3}', None, ErrorCode.SCHEMA),
    (b'{"type": "statsu", "request_id": "r"}', "r", ErrorCode.SCHEMA),
    (b'{"type": ["status"], "request_id": "r"}', "r", ErrorCode.SCHEMA),
    (b'{"type": "status", "request_id": "r", "verbose": true}', "r", ErrorCode.SCHEMA),
]


@pytest.mark.parametrize(("raw", "request_id", "code"), BAD_FRAMES, ids=[str(raw)[:50] for raw, _, _ in BAD_FRAMES])
def test_a_bad_frame_is_answered_and_the_link_lives(raw: bytes, request_id: str | None, code: str) -> None:
    async def test(one: Connection) -> None:
        one.wire.send(framing.encode(raw))
        assert code_of(one.wire.hear()) == ("error" if request_id is None else "result", request_id, code)
        assert one.desk.heard == []
        assert code_of(one.ask("status", "next")) == ("result", "next", "")

    connected(test)


def test_a_length_above_the_limit_is_answered_and_closes_the_link_and_what_came_before_it_is_served() -> None:
    async def test(one: Connection) -> None:
        good = framing.encode(encode({"type": "status", "request_id": "r"}))
        one.wire.send(good + framing.HEADER.pack(framing.MAX_BODY_BYTES + 1) + b"x" * 100)
        answer, refused = one.wire.hear()
        assert (answer["request_id"], refused["type"], refused["error_code"]) == ("r", "error", ErrorCode.BAD_FRAME)
        assert one.wire.closed

    connected(test)


def test_a_refused_request_is_answered_with_code_word_and_hint() -> None:
    async def test(one: Connection) -> None:
        (told,) = one.ask("release", "r", shared_mem_id="x")
        assert (told["status"], told["error_code"], told["error_name"]) == ("ERROR", "3001", "busy")
        assert (told["message"], told["hint"]) == ("no slot is free", "release")

    connected(test)


def test_answers_come_as_they_are_ready() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        one.ask("lease", "r2")
        assert code_of(one.ask("status", "r3")) == ("result", "r3", "")
        one.desk.open[1].set_result(answer_of("r2"))
        await settle()
        assert code_of(one.wire.hear()) == ("result", "r2", "")
        one.desk.open[0].set_result(answer_of("r1"))
        await settle()
        assert code_of(one.wire.hear()) == ("result", "r1", "")
        assert one.link.outstanding == 0

    connected(test)


def test_more_unanswered_requests_than_allowed_are_busy_until_one_is_answered() -> None:
    async def test(one: Connection) -> None:
        assert one.ask("lease", "r1") == one.ask("lease", "r2") == []
        assert code_of(one.ask("lease", "r3")) == ("result", "r3", ErrorCode.BUSY)
        assert code_of(one.ask("status", "r4")) == ("result", "r4", ErrorCode.BUSY)
        assert len(one.desk.heard) == 2
        one.desk.open[0].set_result(answer_of("r1"))
        await settle()
        one.wire.hear()
        assert code_of(one.ask("status", "r5")) == ("result", "r5", "")

    connected(test, HostConfig(hello_s=NEVER_S, body_s=NEVER_S, max_outstanding=2))


def test_an_answer_that_was_given_up_frees_its_place_and_says_nothing() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        one.desk.open[0].cancel()
        await settle()
        assert (one.link.outstanding, one.wire.hear()) == (0, [])

    connected(test)


def test_an_answer_for_a_host_that_is_gone_goes_nowhere() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        one.wire.close()
        await settle()
        assert one.desk.gone == one.lost == [one.link]
        one.desk.open[0].set_result(answer_of("r1"))
        await settle()
        assert (one.link.outstanding, one.wire.hear()) == (0, [])
        assert not one.link.deliver(event())
        one.link.close()

    connected(test)


async def refused(one: Connection) -> str:
    """Waits for the link to be closed by itself; what it was told."""
    await one.wire.ended.wait()
    (told,) = one.wire.hear()
    assert (told["type"], told["error_code"]) == ("error", ErrorCode.BAD_FRAME)
    return str(told["message"])


def test_a_link_without_hello_is_closed_after_its_time() -> None:
    async def test(one: Connection) -> None:
        assert (await refused(one)).startswith("no hello for ")

    connected(test, HostConfig(hello_s=AT_ONCE_S, body_s=NEVER_S), greeted=False)


def test_bytes_that_are_no_hello_win_no_time() -> None:
    async def test(one: Connection) -> None:
        one.wire.send(framing.HEADER.pack(100))
        assert (await refused(one)).startswith("no hello for ")

    connected(test, HostConfig(hello_s=AT_ONCE_S, body_s=NEVER_S), greeted=False)


def test_a_frame_that_is_not_complete_in_its_time_closes_the_link() -> None:
    async def test(one: Connection) -> None:
        one.wire.send(framing.HEADER.pack(100) + b"{")
        assert (await refused(one)).startswith("an unfinished frame for ")

    connected(test, HostConfig(hello_s=NEVER_S, body_s=AT_ONCE_S))


def test_the_beginning_of_a_frame_behind_a_whole_one_is_counted_too() -> None:
    async def test(one: Connection) -> None:
        one.wire.send(framing.encode(encode({"type": "status", "request_id": "r"})) + b"\0")
        one.wire.hear()
        assert (await refused(one)).startswith("an unfinished frame for ")

    connected(test, HostConfig(hello_s=NEVER_S, body_s=AT_ONCE_S))


def test_a_frame_in_many_pieces_has_one_time_for_all_of_them() -> None:
    async def test(one: Connection) -> None:
        started: list[float] = []
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def watched(delay: float, *rest: Any) -> asyncio.TimerHandle:
            started.append(delay)
            return call_later(delay, *rest)

        loop.call_later = watched  # type: ignore[method-assign,assignment]
        frame = framing.encode(encode({"type": "status", "request_id": "r"}))
        for byte in frame[:-1]:
            one.wire.send(bytes([byte]))
        assert started == [NEVER_S]
        one.wire.send(frame[-1:])
        one.wire.send(frame)
        assert started == [NEVER_S]
        one.wire.send(frame + frame[:1])
        assert started == [NEVER_S, NEVER_S]

    connected(test)


def test_a_link_with_nothing_unfinished_is_never_closed_by_time() -> None:
    async def test(one: Connection) -> None:
        for _ in range(3):
            assert code_of(one.ask("status", "r")) == ("result", "r", "")
            await settle()
        assert not one.wire.closed

    connected(test, HostConfig(hello_s=NEVER_S, body_s=AT_ONCE_S))


def test_a_host_that_does_not_read_its_answers_is_disconnected() -> None:
    async def test(one: Connection) -> None:
        one.wire.reads_everything = False
        for number in range(10_000):
            one.ask("status", f"r{number}")
            if one.wire.aborted:
                break
        assert one.wire.aborted
        assert 65_536 < one.wire.unread_bytes < 66_000

    connected(test, HostConfig(hello_s=NEVER_S, body_s=NEVER_S, max_unread_bytes=65_536))


def event() -> Event:
    return Event(topic="results", timestamp_ms=1, data={"pid": "p"}, dropped=2)


def test_an_event_is_sent_to_a_host_that_reads_and_not_to_one_that_is_behind() -> None:
    async def test(one: Connection) -> None:
        assert one.link.deliver(event())
        told = {"type": "event", "topic": "results", "timestamp_ms": 1, "data": {"pid": "p"}, "dropped": 2}
        assert one.wire.hear() == [told]
        one.wire.unread_bytes = 262_145
        assert not one.link.deliver(event())
        assert one.wire.hear() == []
        assert code_of(one.ask("status", "r")) == ("result", "r", "")
        one.wire.unread_bytes = 262_144
        assert one.link.deliver(event())

    connected(test)


def test_closing_a_link_ends_it_once() -> None:
    async def test(one: Connection) -> None:
        one.link.close()
        one.link.close()
        await settle()
        assert one.desk.gone == [one.link]

    connected(test)
