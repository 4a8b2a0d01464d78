"""Rect: whole pixels, refused otherwise (spec.md §5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procvision_sdk.errors import CoordinateInvalidError, InvalidResultError
from procvision_sdk.geometry import Rect

sides = st.integers(0, 50)
rects = st.builds(Rect, st.integers(-50, 50), st.integers(-50, 50), sides, sides)


def test_numpy_integers_become_python_integers() -> None:
    rect = Rect(np.int64(1), np.uint8(2), np.int16(3), np.int32(4), np.str_("dent"), np.float32(0.5))  # type: ignore[arg-type]
    assert [type(value) for value in (rect.x, rect.y, rect.width, rect.height)] == [int] * 4
    assert (type(rect.label), type(rect.score)) == (str, float)
    assert rect == Rect(1, 2, 3, 4, "dent", 0.5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((1.0, 2, 3, 4), CoordinateInvalidError, r"^x: expected whole pixels \(int\), got float"),
        ((1, np.float64(2), 3, 4), CoordinateInvalidError, r"^y: .* got float64"),
        ((1, 2, True, 4), CoordinateInvalidError, r"^width: .* got bool"),
        ((1, 2, 3, np.True_), CoordinateInvalidError, r"^height: .* got bool"),
        (("1", 2, 3, 4), CoordinateInvalidError, r"^x: .* got str"),
        ((None, 2, 3, 4), CoordinateInvalidError, r"^x: .* got NoneType"),
        ((1, 2, -3, 4), CoordinateInvalidError, r"^width: expected 0 or more, got -3"),
        ((1, 2, 3, -1), CoordinateInvalidError, r"^height: expected 0 or more, got -1"),
        ((1, 2, 3, 4, None), InvalidResultError, r"^label: expected text, got NoneType"),
        ((1, 2, 3, 4, 7), InvalidResultError, r"^label: expected text, got int"),
        ((1, 2, 3, 4, "", 1.01), InvalidResultError, r"^score: expected a number from 0 to 1, got 1.01"),
        ((1, 2, 3, 4, "", -0.1), InvalidResultError, r"^score: .* got -0.1"),
        ((1, 2, 3, 4, "", math.nan), InvalidResultError, r"^score: .* got nan"),
        ((1, 2, 3, 4, "", True), InvalidResultError, r"^score: .* got bool"),
        ((1, 2, 3, 4, "", "0.5"), InvalidResultError, r"^score: .* got str"),
        ((1, 2, 3, 4, "", 10**400), InvalidResultError, r"^score: .* got 1000"),
        ((1, 2, 3, 4, "", []), InvalidResultError, r"^score: .* got list"),
    ],
)
def test_what_is_not_whole_pixels_is_refused_by_name(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Rect(*arguments)


@pytest.mark.parametrize(
    ("rect", "is_inside"),
    [
        (Rect(0, 0, 640, 480), True),
        (Rect(639, 479, 1, 1), True),
        (Rect(640, 480, 0, 0), True),
        (Rect(-1, 0, 2, 2), False),
        (Rect(0, -1, 2, 2), False),
        (Rect(0, 0, 641, 480), False),
        (Rect(0, 0, 640, 481), False),
        (Rect(639, 0, 2, 1), False),
    ],
)
def test_inside_means_every_pixel(rect: Rect, is_inside: bool) -> None:
    assert rect.inside(640, 480) is is_inside


def test_json_leaves_out_an_empty_label_and_a_missing_score() -> None:
    assert Rect(1, 2, 3, 4).to_json() == {"x": 1, "y": 2, "width": 3, "height": 4}
    assert Rect(1, 2, 3, 4, "a", 0.0).to_json() == {"x": 1, "y": 2, "width": 3, "height": 4, "label": "a", "score": 0.0}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"x": 1, "y": 2, "width": 3, "height": 4}, Rect(1, 2, 3, 4)),
        ({"x": 1, "y": 2, "width": 3, "height": 4, "label": "a", "score": 1}, Rect(1, 2, 3, 4, "a", 1.0)),
        ({"x": 1, "y": 2, "width": 3, "height": 4, "score": None}, Rect(1, 2, 3, 4)),
        ("1,2,3,4", Rect(1, 2, 3, 4)),
        (" 1, 2 ,3,-0 ", Rect(1, 2, 3, 0)),
    ],
)
def test_both_written_forms_are_read(value: object, expected: Rect) -> None:
    assert Rect.parse(value, "roi") == expected


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("1,2,3", CoordinateInvalidError, r"^roi: expected four whole numbers 'x,y,w,h', got '1,2,3'"),
        ("1,2,3,4,5", CoordinateInvalidError, r"^roi: expected four whole numbers"),
        ("1,2,3,4.5", CoordinateInvalidError, r"^roi: expected four whole numbers"),
        ("", CoordinateInvalidError, r"^roi: expected four whole numbers"),
        ("1,2,3," + "9" * 5000, CoordinateInvalidError, r"^roi: expected four whole numbers"),
        ("1,2,-3,4", CoordinateInvalidError, r"^roi\.width: expected 0 or more"),
        ([1, 2, 3, 4], CoordinateInvalidError, r"^roi: expected a rectangle .*got list"),
        (None, CoordinateInvalidError, r"^roi: expected a rectangle .*got NoneType"),
        ({"x": 1, "width": 2}, CoordinateInvalidError, r"^roi: expected x, y, width and height, y, height missing"),
        ({"x": 1, "y": 2, "width": 3, "height": 4, "w": 3}, CoordinateInvalidError, r"^roi: unknown key 'w'"),
        ({"x": 1, "y": 2, "width": 3, "height": 4, 5: 3}, CoordinateInvalidError, r"^roi: unknown key '5'"),
        ({"x": 1.5, "y": 2, "width": 3, "height": 4}, CoordinateInvalidError, r"^roi\.x: expected whole pixels"),
        ({"x": 1, "y": 2, "width": 3, "height": 4, "score": 2}, InvalidResultError, r"^roi\.score: "),
    ],
)
def test_a_malformed_rectangle_is_refused_with_its_path(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Rect.parse(value, "roi")


@given(rects)
def test_a_rectangle_is_read_back_as_it_was_written(rect: Rect) -> None:
    assert Rect.parse(rect.to_json(), "rect") == rect


@given(rects, rects)
def test_overlap_agrees_with_counting_pixels(one: Rect, other: Rect) -> None:
    def pixels(rect: Rect) -> set[tuple[int, int]]:
        return {(x, y) for x in range(rect.x, rect.x + rect.width) for y in range(rect.y, rect.y + rect.height)}

    both, either = pixels(one) & pixels(other), pixels(one) | pixels(other)
    assert one.iou(other) == other.iou(one) == (len(both) / len(either) if either else 0.0)
