"""The adapter's end: what is answered at once, what waits, and what ends it (spec.md §4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from procvision_sdk.wire.dialogue import MAX_WAITING_CALLS, AdapterDialogue, Asked, EndOfInput, ProtocolFailure
from procvision_sdk.wire.framing import FrameTooLongError
from procvision_sdk.wire.messages import ErrorMessage


def hear(adapter: AdapterDialogue, received_s: float = 0.0, **message: Any) -> list[dict[str, Any]]:
    return [reply.to_wire() for reply in adapter.hear(json.dumps(message).encode(), received_s)]


def ready_adapter() -> AdapterDialogue:
    adapter = AdapterDialogue()
    adapter.setup_done(1.0)
    assert adapter.take() is None
    return adapter


def taken(adapter: AdapterDialogue) -> list[str]:
    """What is done next, and so on until nothing is: request ids of calls, the kind of an end."""
    order = []
    while (item := adapter.take()) is not None:
        order.append(str(item.call.request_id) if isinstance(item, Asked) else type(item).__name__)
    return order


REFUSED = [
    (b"", None, "4001"),
    (b"\xff", None, "4001"),
    (b"[]", None, "4001"),
    (b"{}", None, "4002"),
    (b'{"request_id":"r"}', "r", "4002"),
    (b'{"type":"cal","request_id":"r"}', "r", "4002"),
    (b'{"type":["call"],"request_id":"r"}', "r", "4002"),
    (b'{"type":"ping","request_id":5}', None, "4002"),
    (b'{"type":"hello","request_id":5}', None, "4002"),
    (b'{"type":"hello","request_id":"r","protocol_version":1}', "r", "4002"),
    (b'{"type":"shutdown","request_id":{}}', None, "4002"),
    (b'{"type":"call","request_id":7,"data":{"phase":"info"}}', None, "1006"),
    (b'{"type":"call","request_id":"r","data":{"phase":"excute"}}', "r", "1006"),
]


@pytest.mark.parametrize(("raw", "request_id", "code"), REFUSED)
def test_a_message_that_cannot_be_served_is_answered_once_and_the_link_lives(
    raw: bytes, request_id: str | None, code: str
) -> None:
    adapter = ready_adapter()
    (reply,) = adapter.hear(raw, 0.0)
    told = reply.to_wire()
    assert told["type"] == ("error" if request_id is None else "result")
    assert (told.get("request_id"), told["status"], told["error_code"]) == (request_id, "ERROR", code)
    assert taken(adapter) == []
    assert hear(adapter, type="ping", request_id="p") == [{"type": "pong", "request_id": "p", "status": "OK"}]


def test_pings_overtake_and_calls_and_the_end_keep_their_order() -> None:
    adapter = ready_adapter()
    for request_id in "ab":
        assert hear(adapter, type="call", request_id=request_id, data={"phase": "info"}) == []
    assert hear(adapter, type="ping") == [{"type": "pong", "status": "OK"}]
    assert hear(adapter, type="shutdown", request_id="c") == []
    (late,) = hear(adapter, type="call", request_id="d", data={"phase": "info"})
    assert (late["request_id"], late["error_code"]) == ("d", "3001")
    (again,) = hear(adapter, type="shutdown", request_id="e")
    assert (again["request_id"], again["error_code"]) == ("e", "3001")
    adapter.hear_end()
    assert taken(adapter) == ["a", "b", "Shutdown"]


@pytest.mark.parametrize(("occupied", "room"), [(True, MAX_WAITING_CALLS), (False, MAX_WAITING_CALLS + 1)])
def test_sixteen_calls_wait_beside_the_one_that_runs(occupied: bool, room: int) -> None:
    adapter = AdapterDialogue() if occupied else ready_adapter()
    for number in range(room):
        assert hear(adapter, type="call", request_id=str(number), data={"phase": "info"}) == []
    (refused,) = hear(adapter, type="call", request_id="x", data={"phase": "info"})
    assert (refused["error_code"], refused["error_name"], refused["request_id"]) == ("3001", "busy", "x")
    assert isinstance(adapter.take(), Asked)
    (also,) = hear(adapter, type="call", request_id="y", data={"phase": "info"}) if not occupied else [refused]
    assert also["error_code"] == "3001"
    assert len(taken(adapter)) == room - 1


def test_a_running_call_leaves_room_again_when_it_was_answered() -> None:
    adapter = ready_adapter()
    for number in range(MAX_WAITING_CALLS + 1):
        hear(adapter, type="call", request_id=str(number), data={"phase": "info"})
    adapter.take()
    adapter.take()
    assert hear(adapter, type="call", request_id="next", data={"phase": "info"}) == []


@pytest.mark.parametrize(("greets_first", "replies"), [(True, [[], [1.5]]), (False, [[1.5], []])])
def test_ready_is_said_once_and_only_to_a_host_that_said_hello(greets_first: bool, replies: list[list[float]]) -> None:
    adapter = AdapterDialogue()
    if greets_first:
        heard = [hear(adapter, type="hello"), [one.to_wire() for one in adapter.setup_done(1.5)]]
    else:
        assert adapter.setup_done(1.5) == []
        heard = [hear(adapter, type="hello"), []]
    assert [[one["setup_ms"] for one in some] for some in heard] == replies
    assert hear(adapter, type="hello") == []


def test_another_major_is_answered_by_both_names_and_then_the_end() -> None:
    adapter = ready_adapter()
    hear(adapter, type="call", request_id="a", data={"phase": "info"})
    (told,) = hear(adapter, type="hello", request_id="h", protocol_version="2.0")
    assert (told["type"], told["request_id"], told["error_code"]) == ("error", "h", "4001")
    assert "2.0" in told["message"] and "1.0" in told["message"]
    assert taken(adapter) == ["a", "ProtocolFailure"]


def test_an_overlong_frame_is_answered_and_takes_its_place_as_the_end() -> None:
    adapter = ready_adapter()
    hear(adapter, type="call", request_id="a", data={"phase": "info"})
    (told,) = adapter.hear_overlong(FrameTooLongError("too long"))
    assert isinstance(told, ErrorMessage) and told.error_code == "4001"
    assert isinstance(adapter.take(), Asked)
    assert isinstance(adapter.take(), ProtocolFailure)


def test_a_stop_refuses_what_waits_and_keeps_the_end_that_was_asked_for() -> None:
    adapter = ready_adapter()
    for request_id in "ab":
        hear(adapter, type="call", request_id=request_id, data={"phase": "info"})
    hear(adapter, type="shutdown", request_id="s")
    told = [one.to_wire() for one in adapter.stop()]
    assert [(one["request_id"], one["error_code"]) for one in told] == [("a", "3001"), ("b", "3001")]
    assert taken(adapter) == ["Shutdown"]


def test_a_stop_alone_is_the_end_of_input() -> None:
    adapter = ready_adapter()
    assert adapter.stop() == []
    assert isinstance(adapter.take(), EndOfInput)


@pytest.mark.parametrize(
    ("deadline_ms", "now_s", "late"), [(None, 1e9, False), (100, 5.099, False), (100, 5.101, True), (0, 5.0, True)]
)
def test_a_call_is_too_late_when_its_time_passed_while_it_waited(
    deadline_ms: float | None, now_s: float, late: bool
) -> None:
    adapter = ready_adapter()
    data = {"phase": "info"} if deadline_ms is None else {"phase": "info", "deadline_ms": deadline_ms}
    hear(adapter, received_s=5.0, type="call", request_id="a", data=data)
    asked = adapter.take()
    assert isinstance(asked, Asked) and asked.is_too_late(now_s) is late
