"""Dicts and typed results are the same to validation, and no return makes up a verdict (spec.md §5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procvision_sdk.errors import (
    AlgorithmError,
    CoordinateInvalidError,
    InvalidResultError,
)
from procvision_sdk.geometry import Rect
from procvision_sdk.result import (
    ExecuteResult,
    HookAnswer,
    PreExecuteResult,
    accept_execute,
    accept_pre_execute,
)

SIZE = (640, 480)
Accept = Callable[[object, tuple[int, int] | None], HookAnswer]


def rect(**changes: Any) -> dict[str, Any]:
    return {"x": 1, "y": 2, "width": 3, "height": 4, "label": "dent", "score": 0.5} | changes


def ok(**data: Any) -> dict[str, Any]:
    return {"status": "OK", "data": {"result_status": "OK"} | data}


def ng(**data: Any) -> dict[str, Any]:
    return ok(**{"result_status": "NG", "ng_reason": "scratch", "defect_rects": []} | data)


def test_an_answer_for_the_wrong_hook_is_refused() -> None:
    with pytest.raises(
        InvalidResultError, match=r"^pre_execute: expected a dict or PreExecuteResult, got ExecuteResult"
    ):
        accept_pre_execute(ExecuteResult.ok(), SIZE)
    with pytest.raises(InvalidResultError, match=r"^execute: expected a dict or ExecuteResult, got PreExecuteResult"):
        accept_execute(PreExecuteResult.ready(), SIZE)


def outcome(accept: Accept, returned: object) -> HookAnswer | tuple[str, str]:
    try:
        return accept(returned, SIZE)
    except AlgorithmError as error:
        return error.code, error.message


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        (ExecuteResult.ok(), ok(defect_rects=[], position_rects=[])),
        (
            ExecuteResult.ok(debug={"a": 1}, model="m"),
            ok(defect_rects=[], position_rects=[], debug={"a": 1}, model="m"),
        ),
        (
            ExecuteResult.ng("scratch", [Rect(1, 2, 3, 4, "dent", 0.5), rect(area=3)], iter([Rect(0, 0, 1, 1)])),
            ng(defect_rects=[rect(), rect(area=3)], position_rects=[{"x": 0, "y": 0, "width": 1, "height": 1}]),
        ),
        (ExecuteResult.ng("scratch", []), ng(position_rects=[])),
        (ExecuteResult.ng("", []), ng(ng_reason="", position_rects=[])),
        (ExecuteResult.ng("scratch", [Rect(638, 2, 3, 4)]), ng(defect_rects=[Rect(638, 2, 3, 4)], position_rects=[])),
        (ExecuteResult.ok([rect(score=math.nan)]), ok(defect_rects=[rect(score=math.nan)], position_rects=[])),
        (ExecuteResult.ok([rect()] * 21), ok(defect_rects=[rect()] * 21, position_rects=[])),
        (ExecuteResult.ok(bad={1}), ok(bad={1})),
        (ExecuteResult.error("1002", "dark"), {"status": "ERROR", "error_code": "1002", "message": "dark"}),
        (ExecuteResult.error("", "dark"), {"status": "ERROR", "message": "dark"}),
        (ExecuteResult("maybe"), {"status": "maybe"}),
    ],
)
def test_both_forms_of_an_execute_result_are_validated_alike(typed: ExecuteResult, plain: dict[str, Any]) -> None:
    assert outcome(accept_execute, typed) == outcome(accept_execute, plain)
    assert outcome(accept_execute, typed.to_dict()) == outcome(accept_execute, plain)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        (PreExecuteResult.ready(), {"status": "OK", "message": "ready", "data": {"calibration_rects": []}}),
        (
            PreExecuteResult.ready("lit", [Rect(1, 2, 3, 4)], lux=2),
            {"status": "OK", "message": "lit", "data": {"calibration_rects": [Rect(1, 2, 3, 4)], "lux": 2}},
        ),
        (PreExecuteResult.ready(result_status="OK"), {"status": "OK", "data": {"result_status": "OK"}}),
        (PreExecuteResult.error("1002", "dark"), {"status": "ERROR", "error_code": "1002", "message": "dark"}),
    ],
)
def test_both_forms_of_a_pre_execute_result_are_validated_alike(typed: PreExecuteResult, plain: dict[str, Any]) -> None:
    assert outcome(accept_pre_execute, typed) == outcome(accept_pre_execute, plain)


def test_a_typed_result_cannot_be_changed_after_it_was_made() -> None:
    with pytest.raises(AttributeError):
        ExecuteResult.ok().status = "ERROR"  # type: ignore[misc]


loose = st.dictionaries(
    st.sampled_from(["status", "data", "message", "error_code", "debug", "x"]),
    st.sampled_from(["OK", "NG", "ERROR", "", None, 1, 1.5, math.nan, b"", {1}])
    | st.dictionaries(
        st.sampled_from(["result_status", "ng_reason", "defect_rects", "debug"]),
        st.sampled_from(["OK", "NG", "", None, 0]) | st.lists(st.sampled_from([rect(), rect(x=-1), 5])),
    ),
)


@given(loose)
def test_whatever_a_hook_returns_the_verdict_is_explicit_or_there_is_none(returned: dict[str, Any]) -> None:
    try:
        answer = accept_execute(returned, SIZE)
    except (InvalidResultError, CoordinateInvalidError) as error:
        assert error.message
        return
    assert answer.status == returned["status"]
    if answer.status == "OK":
        assert answer.data["result_status"] == returned["data"]["result_status"]
        assert answer.data["result_status"] in ("OK", "NG")
    else:
        assert answer.error_code
        assert "result_status" not in answer.data
