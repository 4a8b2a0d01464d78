"""What one host's connection may use up: requests, time for a frame, answers it does not read (spec.md §4)."""

from __future__ import annotations

import asyncio
from typing import Any

from procvision_sdk.errors import ErrorCode
from procvision_sdk.wire import framing
from procvision_sdk.wire.body import encode
from runner.config import HostConfig
from tests.doubles.host_connection import EVENT, NEVER_S, Connection, answer_of, code_of, connected, settle

AT_ONCE_S = 1e-9


def test_ping_is_answered_by_pong_also_when_too_many_requests_wait() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        assert one.ask("ping", "p") == [{"type": "pong", "request_id": "p", "status": "OK"}]
        one.wire.say({"type": "ping"})
        assert one.wire.hear() == [{"type": "pong", "status": "OK"}]

    connected(test, HostConfig(hello_s=NEVER_S, body_s=NEVER_S, max_outstanding=1))


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
        one.wire.send(frame[1:] + frame[:1])
        assert started == [NEVER_S, NEVER_S, NEVER_S]

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


def test_an_event_is_sent_to_a_host_that_reads_and_not_to_one_that_is_behind() -> None:
    async def test(one: Connection) -> None:
        assert one.link.deliver(EVENT)
        told = {"type": "event", "topic": "results", "timestamp_ms": 1, "data": {"pid": "p"}, "dropped": 2}
        assert one.wire.hear() == [told]
        one.wire.unread_bytes = 262_145
        assert not one.link.deliver(EVENT)
        assert one.wire.hear() == []
        assert code_of(one.ask("status", "r")) == ("result", "r", "")
        one.wire.unread_bytes = 262_144
        assert one.link.deliver(EVENT)

    connected(test)
