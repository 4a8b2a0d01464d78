"""accept_pre_execute and accept_execute: a verdict is believed only from a validated return (spec.md §5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from procvision_sdk.errors import (
    AlgorithmError,
    CoordinateInvalidError,
    InvalidResultError,
    ResultTooLargeError,
)
from procvision_sdk.result import (
    HookAnswer,
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


def test_a_ready_answer_keeps_its_rectangles_message_and_data() -> None:
    answer = accept_pre_execute(
        {"status": "OK", "message": "lit", "data": {"calibration_rects": [rect()], "lux": np.float32(2.5)}}, SIZE
    )
    assert answer == HookAnswer("OK", "lit", "", {"calibration_rects": [rect()], "lux": 2.5}, {})


def test_an_answer_without_data_is_enough_before_execute() -> None:
    assert accept_pre_execute({"status": "OK"}, SIZE) == HookAnswer("OK", "", "", {}, {})


def test_an_ng_keeps_reason_rectangles_and_further_keys_of_the_author() -> None:
    given_rect = rect(area=12, x=np.int64(1), score=np.float64(0.5))
    answer = accept_execute(ng(defect_rects=(given_rect,), position_rects=[rect()], model="m1"), SIZE)
    assert answer.data == {
        "result_status": "NG",
        "ng_reason": "scratch",
        "defect_rects": [rect(area=12)],
        "position_rects": [rect()],
        "model": "m1",
    }
    assert (answer.status, answer.error_code, answer.diagnostics) == ("OK", "", {})


@pytest.mark.parametrize("accept", [accept_pre_execute, accept_execute])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, r"expected a dict or \w+Result, got NoneType"),
        ([], r"expected a dict or \w+Result, got list"),
        (7, r"expected a dict or \w+Result, got int"),
        ("OK", r"expected a dict or \w+Result, got str"),
        (True, r"expected a dict or \w+Result, got bool"),
        (np.zeros(1), r"expected a dict or \w+Result, got ndarray"),
        ((n for n in range(3)), r"expected a dict or \w+Result, got generator"),
        ({}, r"^status: expected 'OK' or 'ERROR' from \w+, got nothing"),
        ({"status": None}, r"^status: .* got None"),
        ({"status": "ok"}, r"^status: .* got 'ok' \(str\)"),
        ({"status": "NG"}, r"^status: .* got 'NG' \(str\)"),
        ({"status": True}, r"^status: .* got True \(bool\)"),
        ({"status": ["OK"]}, r"^status: .* got list"),
        ({"Status": "OK"}, r"^status: .* got nothing"),
        ({"status": "OK", "data": []}, r"^data: expected a dict, got list"),
        ({"status": "OK", "data": "x"}, r"^data: expected a dict, got 'x' \(str\)"),
        ({"status": "OK", "message": 7}, r"^message: expected text, got 7 \(int\)"),
        ({"status": "ERROR", "error_code": 1001}, r"^error_code: expected text, got 1001 \(int\)"),
        ({"status": "ERROR", "error_code": "x" * 65}, r"^error_code: expected at most 64 characters, got 65"),
        ({"status": "ERROR", "data": {"a": math.nan}}, r"^data\.a: expected a finite number"),
        ({"status": "OK", "data": {"result": {1}}}, r"^data\.result: expected a JSON value, got set"),
        ({"status": "OK", "debug": {"a": object()}}, r"^debug\.a: expected a JSON value, got object"),
        ({"status": "OK", 1: 2}, r"^\[<int>\]: expected text as key"),
    ],
)
def test_what_is_not_a_result_is_refused_by_both_hooks(accept: Accept, returned: object, message: str) -> None:
    with pytest.raises(InvalidResultError, match=message):
        accept(returned, SIZE)


async def an_async_hook() -> None:
    """A hook written as authors of asyncio programs may write it."""


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: None, "a path through the hook ends without return"),
        (lambda: (n for n in range(3)), "return, not yield"),
        (lambda: {"status": "NG"}, "an NG part has status OK and data.result_status NG"),
        (lambda: {"status": "OK", "data": {}}, "execute must give a verdict"),
    ],
)
def test_a_frequent_mistake_gets_a_hint(make: Callable[[], object], hint: str) -> None:
    with pytest.raises(InvalidResultError) as caught:
        accept_execute(make(), SIZE)
    assert hint in caught.value.hint


def test_an_async_hook_is_told_to_be_a_plain_function() -> None:
    coroutine = an_async_hook()
    with pytest.raises(InvalidResultError, match="got coroutine") as caught:
        accept_execute(coroutine, SIZE)
    coroutine.close()
    assert "not async def" in caught.value.hint


@pytest.mark.parametrize("key", ["result_status", "defect_rects"])
def test_pre_execute_gives_no_verdict(key: str) -> None:
    with pytest.raises(InvalidResultError, match=rf"^data\.{key}: pre_execute gives no verdict"):
        accept_pre_execute({"status": "OK", "data": {key: []}}, SIZE)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, r"^data\.result_status: expected 'OK' or 'NG', got nothing"),
        (None, r"^data\.result_status: .* got nothing"),
        ({"result_status": "ok"}, r"^data\.result_status: .* got 'ok'"),
        ({"result_status": "ERROR"}, r"^data\.result_status: .* got 'ERROR'"),
        ({"result_status": True}, r"^data\.result_status: .* got True"),
        ({"result_status": None}, r"^data\.result_status: .* got None"),
        ({"result_status": "NG", "defect_rects": []}, r"^data\.ng_reason: expected text that says why, got nothing"),
        ({"result_status": "NG", "defect_rects": [], "ng_reason": " "}, r"^data\.ng_reason: .* got ' '"),
        ({"result_status": "NG", "defect_rects": [], "ng_reason": 3}, r"^data\.ng_reason: .* got 3"),
        ({"result_status": "NG", "ng_reason": "x"}, r"^data\.defect_rects: expected a list with an NG, got nothing"),
        ({"result_status": "NG", "ng_reason": "x", "defect_rects": None}, r"^data\.defect_rects: expected a list"),
        ({"result_status": "OK", "defect_rects": {}}, r"^data\.defect_rects: expected a list of rectangles, got dict"),
        ({"result_status": "OK", "position_rects": "x"}, r"^data\.position_rects: expected a list of rectangles"),
    ],
)
def test_nothing_defaults_to_ok_and_an_ng_says_why(data: object, message: str) -> None:
    with pytest.raises(InvalidResultError, match=message):
        accept_execute({"status": "OK", "data": data}, SIZE)


@pytest.mark.parametrize("key", ["defect_rects", "position_rects", "calibration_rects"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (rect(x=638), CoordinateInvalidError, r"expected a rectangle inside the image of 640 x 480, got x=638"),
        (rect(y=477), CoordinateInvalidError, r"inside the image of 640 x 480, got x=1 y=477 width=3 height=4"),
        (rect(x=-1), CoordinateInvalidError, r"inside the image"),
        (rect(width=-1), CoordinateInvalidError, r"\.width: expected 0 or more, got -1"),
        (rect(x=1.0), CoordinateInvalidError, r"\.x: expected whole pixels \(int\), got float"),
        (rect(x=np.float64(1)), CoordinateInvalidError, r"\.x: expected whole pixels \(int\), got float"),
        (rect(x="1"), CoordinateInvalidError, r"\.x: expected whole pixels \(int\), got str"),
        (rect(height=True), CoordinateInvalidError, r"\.height: expected whole pixels"),
        ({"x": 1, "y": 2}, CoordinateInvalidError, r": expected x, y, width and height, width, height missing"),
        (rect(label=None), InvalidResultError, r"\.label: expected text, got NoneType"),
        (rect(score=1.5), InvalidResultError, r"\.score: expected a number from 0 to 1, got 1.5"),
        (rect(score=True), InvalidResultError, r"\.score: expected a number from 0 to 1, got bool"),
        (rect(score=math.nan), InvalidResultError, r"\.score: expected a finite number, got nan"),
        ([1, 2, 3, 4], InvalidResultError, r": expected {x, y, width, height, label, score}, got list"),
        (None, InvalidResultError, r": expected {x, y, width, height, label, score}, got NoneType"),
    ],
)
def test_a_rectangle_that_is_none_is_refused_with_its_place(
    key: str, bad: object, error: type[AlgorithmError], message: str
) -> None:
    accept, returned = accept_execute, ok(**{key: [rect(), bad]})
    if key == "calibration_rects":
        accept, returned = accept_pre_execute, {"status": "OK", "data": {key: [rect(), bad]}}
    with pytest.raises(error, match=rf"^data\.{key}\[1\]{message}" if message[0] in r"\:" else message) as caught:
        accept(returned, SIZE)
    assert caught.value.message.startswith(f"data.{key}[1]")


def test_without_an_image_only_the_sign_is_checked() -> None:
    far = rect(x=10**9)
    assert accept_execute(ok(defect_rects=[far]), None).data["defect_rects"] == [far]
    with pytest.raises(CoordinateInvalidError, match=r"expected a rectangle with x and y of 0 or more, got x=1 y=-2"):
        accept_execute(ok(defect_rects=[rect(y=-2)]), None)


@pytest.mark.parametrize(
    ("key", "counter"), [("defect_rects", "defects_truncated"), ("position_rects", "positions_truncated")]
)
def test_the_twenty_best_rectangles_are_kept_in_their_order_and_the_rest_counted(key: str, counter: str) -> None:
    scores = [None, 0.0, *(n / 100 for n in range(20)), None, 1.0]
    rects = [rect(x=place, score=score) for place, score in enumerate(scores)]
    answer = accept_execute(ok(**{key: rects}), SIZE)
    assert answer.data[key] == [rects[place] for place in (*range(3, 22), 23)]
    assert answer.diagnostics == {counter: 4}


def test_twenty_rectangles_are_not_touched() -> None:
    answer = accept_execute(ok(defect_rects=[rect(x=n) for n in range(20)]), SIZE)
    assert len(answer.data["defect_rects"]) == 20  # type: ignore[arg-type]
    assert answer.diagnostics == {}


def test_rectangles_beyond_the_twentieth_are_checked_all_the_same() -> None:
    rects = [rect(score=1.0)] * 30 + [rect(x=9999, score=0.0)]
    with pytest.raises(CoordinateInvalidError, match=r"^data\.defect_rects\[30\]: "):
        accept_execute(ok(defect_rects=rects), SIZE)


@pytest.mark.parametrize("accept", [accept_pre_execute, accept_execute])
@pytest.mark.parametrize(("code", "expected"), [("1001", "1001"), ("E_MINE", "E_MINE"), ("", "9999"), (None, "9999")])
def test_an_error_keeps_its_code_or_gets_9999(accept: Accept, code: str | None, expected: str) -> None:
    answer = accept({"status": "ERROR", "message": "no lamp", "error_code": code, "data": {"lamp": 2}}, SIZE)
    assert answer == HookAnswer("ERROR", "no lamp", expected, {"lamp": 2}, {})


def test_an_error_without_a_code_key_gets_9999() -> None:
    assert accept_execute({"status": "ERROR"}, SIZE).error_code == "9999"


def test_an_error_carries_no_verdict() -> None:
    answer = accept_execute({"status": "ERROR", "data": {"result_status": "OK", "seen": 1}}, SIZE)
    assert answer.data == {"seen": 1}
    assert answer.diagnostics == {"ignored_keys": ["data.result_status"]}


def test_an_ok_carries_no_error_code_and_says_that_one_was_ignored() -> None:
    answer = accept_execute(ok() | {"error_code": "1001"}, SIZE)
    assert (answer.error_code, answer.diagnostics) == ("", {"ignored_keys": ["error_code"]})


def test_unknown_keys_are_named_not_dropped_in_silence() -> None:
    answer = accept_execute(ok() | {"suggestion": "x", "k" * 100: 1}, SIZE)
    assert answer.diagnostics == {"ignored_keys": ["suggestion", "k" * 64]}


@pytest.mark.parametrize(
    ("above", "inside", "expected"),
    [
        ({"ms": 1.0}, None, {"ms": 1.0}),
        (None, {"ms": 1.0}, {"ms": 1.0}),
        ("text", None, "text"),
        ({"a": 1, "b": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_debug_is_kept_wherever_it_stands(above: object, inside: object, expected: object) -> None:
    returned = ok(**({} if inside is None else {"debug": inside})) | ({} if above is None else {"debug": above})
    assert accept_execute(returned, SIZE).data["debug"] == expected


def test_two_debugs_that_cannot_be_merged_are_refused() -> None:
    with pytest.raises(InvalidResultError, match=r"^debug: stands both at top level and in data"):
        accept_execute(ok(debug="a") | {"debug": "b"}, SIZE)


def test_a_long_message_is_cut() -> None:
    answer = accept_execute({"status": "ERROR", "message": "x" * 10_000}, SIZE)
    assert len(answer.message) <= 2048
    assert "... cut ..." in answer.message


@pytest.mark.parametrize("data", [{"a": [0] * 50_000}, {"a": "x" * 2_000_000}])
def test_a_result_too_large_for_a_frame_is_told_as_such(data: dict[str, object]) -> None:
    with pytest.raises(ResultTooLargeError):
        accept_execute(ok(**data), SIZE)


def test_the_answer_shares_nothing_with_what_the_author_keeps() -> None:
    kept = ng(defect_rects=[rect()], debug={"a": [1]})
    answer = accept_execute(kept, SIZE)
    kept["data"]["defect_rects"].clear()
    kept["data"]["debug"]["a"].append(2)
    assert answer.data["defect_rects"] == [rect()]
    assert answer.data["debug"] == {"a": [1]}
