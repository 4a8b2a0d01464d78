"""One host's connection: hello first, and exactly one answer for each request (spec.md §4)."""

from __future__ import annotations

from typing import Any

import pytest

from procvision_sdk.errors import ErrorCode
from procvision_sdk.wire import framing
from procvision_sdk.wire.body import encode
from tests.doubles.host_connection import EVENT, HELLO, Connection, answer_of, code_of, connected, settle


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


def test_a_fault_of_the_runner_is_answered_and_the_link_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(one: Connection) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(one.desk, "answer", lambda *_: [][0])
            assert code_of(one.ask("status", "r")) == ("result", "r", ErrorCode.UNKNOWN_ERROR)
        assert code_of(one.ask("status", "r2")) == ("result", "r2", "")

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


def test_an_answer_for_a_host_that_is_gone_goes_nowhere() -> None:
    async def test(one: Connection) -> None:
        one.ask("lease", "r1")
        one.wire.close()
        await settle()
        assert one.desk.gone == one.lost == [one.link]
        one.desk.open[0].set_result(answer_of("r1"))
        await settle()
        assert (one.link.outstanding, one.wire.hear()) == (0, [])
        assert not one.link.deliver(EVENT)
        one.link.close()

    connected(test)


def test_closing_a_link_ends_it_once() -> None:
    async def test(one: Connection) -> None:
        one.link.close()
        one.link.close()
        await settle()
        assert one.desk.gone == [one.link]

    connected(test)
