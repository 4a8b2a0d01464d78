"""Messages: three layouts of a call, strict types, answers that name the field (spec.md §4)."""

from __future__ import annotations

from typing import Any

import pytest

from procvision_sdk.adapter import boot
from procvision_sdk.errors import InvalidParamsError, SchemaError
from procvision_sdk.validation import shown
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import Call, Message, Result, SessionDelta, SessionRef
from procvision_sdk.wire.messages import (
    PROTOCOL_VERSION,
    ErrorMessage,
    Ping,
    RunnerHello,
    parse,
    parse_call,
    parse_from_adapter,
    refusal,
    request_id_of,
    same_major,
)

FIELDS: dict[str, Any] = {"phase": "execute", "step_index": 2, "pid": "p", "session": {"id": "s"}}
CALL = Call(request_id="r", phase="execute", step_index=2, pid="p", session=SessionRef(id="s"))


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "call", "request_id": "r", "data": FIELDS},
        {"type": "call", "request_id": "r", **FIELDS},
        {
            "type": "call",
            "request_id": "r",
            "method": "execute",
            "payload": {"step_index": 2, "pid": "p", "session": {"id": "s"}},
        },
        {"type": "call", "request_id": "r", "method": "execute", "payload": FIELDS},
        {"type": "call", "request_id": "r", "data": {"step_index": 2, "pid": "p", "session": {"id": "s"}}},
        {"type": "call", "request_id": "r", "data": {**FIELDS, "request_id": "inner", "type": "x", "later": [1]}},
    ],
    ids=["canonical", "flat", "method", "method and phase", "no phase", "unknown fields"],
)
def test_every_layout_of_a_call_means_the_same(raw: dict[str, Any]) -> None:
    assert parse_call(raw) == CALL


REFUSED = [
    ({"data": {**FIELDS, "phase": "excute"}}, "phase: expected one of info, setup, pre, execute, .* got 'excute'"),
    ({"data": {**FIELDS, "phase": None}}, "phase: expected one of"),
    ({"data": {**FIELDS, "phase": ["pre"]}}, "phase: expected one of"),
    ({"data": {**FIELDS, "step_index": 0}}, "step_index: expected 1 or more for phase execute, got 0"),
    ({"data": {**FIELDS, "step_index": -1}}, "step_index: expected 1 or more"),
    ({"data": {**FIELDS, "step_index": "1"}}, "step_index: Expected `int`, got `str`"),
    ({"data": {**FIELDS, "step_index": 1.0}}, "step_index: Expected `int`, got `float`"),
    ({"data": {**FIELDS, "step_index": True}}, "step_index: Expected `int`, got `bool`"),
    ({"data": {**FIELDS, "step_index": 10**100}}, "step_index: "),
    ({"data": {"phase": "pre"}}, "step_index: expected 1 or more for phase pre, got 0"),
    ({"data": {**FIELDS, "pid": 7}}, "pid: Expected `str`, got `int`"),
    ({"data": {**FIELDS, "session": "s"}}, "session: "),
    ({"data": {**FIELDS, "session": {"id": 1}}}, "session.id: "),
    ({"data": {**FIELDS, "session": {"version": -1}}}, "session.version: "),
    ({"data": {**FIELDS, "user_params": []}}, "user_params: "),
    ({"data": {**FIELDS, "image_meta": None}}, "image_meta: "),
    ({"data": {**FIELDS, "deadline_ms": -0.5}}, "deadline_ms: "),
    ({"data": {**FIELDS, "deadline_ms": 10**400}}, "deadline_ms: "),
    ({"data": [1]}, "expected an object of call fields, got list"),
    ({"data": None}, "expected an object of call fields, got NoneType"),
    ({"method": "excute", "payload": FIELDS}, "method: expected one of pre_execute, execute, got 'excute'"),
    ({"method": 3, "payload": FIELDS}, "method: expected one of"),
    ({"method": "execute", "payload": 3}, "expected an object of call fields, got int"),
    ({"method": "execute"}, "step_index: expected 1 or more"),
    ({"method": "execute", "payload": {**FIELDS, "phase": "pre"}}, "phase: method says execute, the payload 'pre'"),
    ({"request_id": 5, "data": FIELDS}, "request_id: Expected `str.*`, got `int`"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED, ids=[reason[:40] for _, reason in REFUSED])
def test_a_call_that_is_not_clear_is_refused_and_never_guessed(raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidParamsError, match=reason) as caught:
        parse_call({"type": "call", "request_id": "r", **raw})
    assert caught.value.code == "1006"


@pytest.mark.parametrize("phase", ["info", "setup", "reset", "teardown"])
def test_a_phase_without_a_step_needs_no_step_index(phase: str) -> None:
    assert parse_call({"type": "call", "data": {"phase": phase}}).phase == phase


def test_a_call_keeps_its_meaning_over_the_wire() -> None:
    call = Call(
        request_id="r",
        phase="step",
        step_index=1,
        pid="p",
        session=SessionRef(id="s", context={"a": None}, state={"k": None, "l": [None]}, version=3),
        user_params={"t": 1.5},
        deadline_ms=10,
        ends_session=True,
    )
    raw = body.decode(body.encode(call.to_wire()))
    assert raw["type"] == "call"
    assert parse_call(raw) == call


def test_values_that_are_null_are_not_lost_in_a_result() -> None:
    result = Result(request_id="r", status="OK", data={"a": None}, session=SessionDelta(version=1, set={"k": None}))
    raw = result.to_wire()
    assert raw["data"] == {"a": None} and raw["session"]["set"] == {"k": None}
    assert "timings" not in raw and "timestamp_ms" not in raw
    assert parse_from_adapter(raw) == result


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ({"type": "result", "status": "NG"}, "from the adapter: result: status: "),
        ({"type": "result"}, "from the adapter: result: .*required field `status`"),
        ({"type": "call"}, "from the adapter: "),
        ({}, "from the adapter: "),
        ({"type": "ready"}, "ready: .*required field `setup_ms`"),
        ({"type": "result", "status": "OK", "data": [], "x": "y" * 10_000}, "result: data: "),
    ],
)
def test_what_an_adapter_may_not_say_is_refused(raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemaError, match=reason) as caught:
        parse_from_adapter(raw)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("model", "raw", "reason"),
    [
        (Ping, {"type": "ping", "request_id": 5}, "ping: request_id: "),
        (
            RunnerHello,
            {"type": "hello", "protocol_version": 1.0},
            "hello: protocol_version: Expected `str`, got `float`",
        ),
        (RunnerHello, {"type": "hello", "request_id": []}, "hello: request_id: "),
    ],
)
def test_a_field_of_the_wrong_type_is_named(model: type[Message], raw: dict[str, Any], reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        parse(model, raw)


def test_a_hello_may_carry_what_a_later_version_adds() -> None:
    assert parse(RunnerHello, {"type": "hello", "colour": "blue"}).protocol_version == "1.0"


@pytest.mark.parametrize(("request_id", "kind"), [("r", Result), (None, ErrorMessage)])
def test_a_refusal_is_a_result_where_the_request_id_is_known(request_id: str | None, kind: type[Message]) -> None:
    told = refusal(request_id, "3001", "busy", "wait")
    assert type(told) is kind
    assert (told.status, told.error_code, told.error_name) == ("ERROR", "3001", "busy")
    assert told.to_wire().get("request_id") == request_id


@pytest.mark.parametrize(
    ("raw", "expected"), [({"request_id": "r"}, "r"), ({"request_id": ""}, None), ({"request_id": 1}, None), ({}, None)]
)
def test_a_request_id_is_a_text_that_is_not_empty(raw: dict[str, Any], expected: str | None) -> None:
    assert request_id_of(raw) == expected


@pytest.mark.parametrize(
    ("version", "same"), [("1.0", True), ("1.7", True), ("1", True), ("2.0", False), ("", False), ("x", False)]
)
def test_only_another_major_is_another_protocol(version: str, same: bool) -> None:
    assert same_major(version) is same


def test_the_hello_that_is_written_by_hand_speaks_the_same_version() -> None:
    assert boot.PROTOCOL_VERSION == PROTOCOL_VERSION


def test_a_value_in_an_error_text_is_short() -> None:
    assert len(shown({"a" * 1000: ["b" * 10**6] * 1000})) <= 80
