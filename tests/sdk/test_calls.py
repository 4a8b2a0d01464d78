"""Calls and results: what is read quickly is what the strict reader would have read (spec.md §4)."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procvision_sdk.errors import BadFrameError, ProcVisionError
from procvision_sdk.wire import body
from procvision_sdk.wire.calls import Call, PhaseTimings, Result, SessionDelta, SessionRef, quick_call, quick_result
from procvision_sdk.wire.messages import parse_call, parse_from_adapter
from tests.sdk.test_wire_fuzz import mutate

META = {"width": 8, "height": 4, "timestamp_ms": 1, "camera_id": "cäm:1"}
CALLS = [
    Call(request_id="r", phase="step", step_index=1, pid="p", shared_mem_id="pv1.s.0.1", image_meta=META),
    Call(request_id="r", phase="info"),
    Call(
        request_id="r/1.2",
        timestamp_ms=5,
        phase="execute",
        step_index=2,
        pid="p",
        session=SessionRef(id="s", context={"a": [1, None]}, state={"b": 0.5}, version=3),
        user_params={"threshold": 1.5, "roi": {"x": 1}},
        deadline_ms=10.25,
        trace_id="t",
        ends_session=True,
    ),
]
RESULTS = [
    Result(request_id="r", status="OK"),
    Result(
        request_id="r",
        timestamp_ms=7,
        status="OK",
        data={"result_status": "NG", "defect_rects": [{"x": 1, "y": 2, "width": 3, "height": 4, "score": 0.25}]},
        diagnostics={"n": 1},
        session=SessionDelta(version=4, set={"k": None}, deleted=["l"]),
        timings=PhaseTimings(pre_execute=0.125, execute=3.5),
        copies=1,
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.phase)
def test_a_call_as_the_runner_writes_it_is_read_quickly_and_means_the_same(call: Call) -> None:
    assert quick_call(call.encoded()) == call == parse_call(body.decode(call.encoded()))


@pytest.mark.parametrize("result", RESULTS, ids=["least", "full"])
def test_a_result_as_the_adapter_writes_it_is_read_quickly_and_means_the_same(result: Result) -> None:
    assert quick_result(result.encoded()) == result == parse_from_adapter(body.decode(result.encoded()))


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type": "call","request_id":"r","phase":"info"}',
        b'{"request_id":"r","type":"call","phase":"info"}',
        b'{"type":"call","request_id":"r","request_id":"r","phase":"info"}',
        b'{"type":"call","request_id":"r","phase":"info","later":1}',
        b'{"type":"call","request_id":"r","phase":"step"}',
        b'{"type":"call","request_id":"r","data":{"phase":"info"}}',
        b'{"type":"call","request_id":"\\u0072","phase":"info"}',
        b'{"type":"call","request_id":"r","phase":"info","deadline_ms":1}',
        b'{"type":"ping","request_id":"r"}',
        b"",
        b"\xff",
    ],
)
def test_what_the_runner_would_not_have_written_is_left_to_the_strict_reader(raw: bytes) -> None:
    assert quick_call(raw) is None


def strictly(raw: bytes) -> tuple[Any, Any]:
    """A body as the strict reader takes it: as a call and as a result, None where it refuses."""
    read: list[Any] = []
    for parse in (parse_call, parse_from_adapter):
        try:
            read.append(parse(body.decode(raw)))
        except ProcVisionError:
            read.append(None)
    return read[0], read[1]


@given(st.integers(0, 2**32), st.sampled_from([message.encoded() for message in (*CALLS, *RESULTS)]))
@settings(max_examples=600, deadline=None)
def test_whatever_is_read_quickly_the_strict_reader_takes_too_and_as_the_same(seed: int, written: bytes) -> None:
    raw = mutate(written, random.Random(seed))
    call, result = strictly(raw)
    assert quick_call(raw) in (None, call)
    assert quick_result(raw) in (None, result)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize("data", [nested(32), {"a": [0] * 50_000}], ids=["deep", "many"])
def test_what_the_other_side_would_refuse_is_not_written(data: dict[str, Any]) -> None:
    with pytest.raises(BadFrameError):
        Result(request_id="r", status="OK", data=data).encoded()
    with pytest.raises(ValueError, match="surrogate"):
        Result(request_id="r", status="OK", message="\ud800").encoded()


def test_a_stamp_changes_the_time_and_nothing_else() -> None:
    stamped = RESULTS[0].stamped(99)
    assert (stamped.timestamp_ms, stamped.stamped(7).to_wire()) == (99, RESULTS[0].stamped(7).to_wire())
