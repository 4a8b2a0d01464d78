"""The result of an inspection as a host gets it (spec.md §4, §5)."""

from __future__ import annotations

import json

import msgspec
import pytest
from msgspec import ValidationError

from procvision_sdk.errors import ErrorReport
from procvision_sdk.wire.calls import PhaseTimings, Result
from runner.results.report import InspectionResult, LeaseData, Timeline, Timings, encode, failure_fields


def result(**timings: float) -> Result:
    return Result(request_id="r", status="OK", timings=PhaseTimings(**timings) if timings else msgspec.UNSET)


def test_times_of_hooks_are_added_up_over_steps_and_attempts() -> None:
    timeline = Timeline()
    timeline.queue += 1.00049
    timeline.add(result(pre_execute=1.0, execute=2.0))
    timeline.add(result())
    timeline.add(result(pre_execute=0.25, execute=0.5004))
    assert timeline.timings(9.87654) == Timings(queue=1.0, pre_execute=1.25, execute=2.5, total=9.877)


def test_a_failure_has_the_word_of_its_code_and_what_to_do() -> None:
    assert failure_fields(ErrorReport("1005", "no answer", "look at the log", "trace")) == {
        "status": "ERROR",
        "message": "no answer",
        "error_code": "1005",
        "error_name": "timeout",
        "hint": "look at the log",
    }


def test_a_code_an_author_made_up_is_named_so() -> None:
    assert failure_fields(ErrorReport("7777", "m"))["error_name"] == "algorithm_error"


def test_a_result_carries_all_fields_a_host_relies_on_and_no_lease_that_was_not_asked_for() -> None:
    told = json.loads(encode(InspectionResult(request_id="r", timestamp_ms=1, status="OK", pid="p"))[1])
    assert told == {
        "type": "result",
        "request_id": "r",
        "timestamp_ms": 1,
        "status": "OK",
        "message": "",
        "error_code": "",
        "error_name": "",
        "hint": "",
        "data": {},
        "diagnostics": {},
        "session_id": "",
        "pid": "p",
        "incarnation": 0,
        "timings": {"queue": 0.0, "pre_execute": 0.0, "execute": 0.0, "total": 0.0},
        "attempts": 0,
        "copies": 0,
        "decodes": 0,
        "recorded": "none",
    }


def test_the_next_lease_travels_whole() -> None:
    lease = LeaseData(shared_mem_id="pv1.s.0.2", segment="s", offset=4096, capacity=10)
    made = InspectionResult(request_id="r", timestamp_ms=1, status="OK", pid="p", lease=lease)
    assert msgspec.json.decode(encode(made)[1], type=InspectionResult) == made


@pytest.mark.parametrize(("field", "value"), [("status", "FINE"), ("recorded", "disk")])
def test_a_result_has_no_other_status_and_no_other_promise(field: str, value: str) -> None:
    fields = {"type": "result", "request_id": "r", "timestamp_ms": 1, "status": "OK", "pid": "p", field: value}
    with pytest.raises(ValidationError, match=field):
        msgspec.convert(fields, InspectionResult)
