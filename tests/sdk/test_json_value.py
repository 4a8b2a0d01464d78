"""normalise: what an algorithm has at hand becomes plain, bounded JSON, or an error with its place (spec.md §5)."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict, namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from procvision_sdk.errors import InvalidResultError, ResultTooLargeError
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import (
    MAX_ARRAY_ELEMENTS,
    MAX_DEPTH,
    MAX_NODES,
    MAX_TEXT_BYTES,
    JsonValue,
    normalise,
)


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Plain(Enum):
    ONE = 1


Point = namedtuple("Point", "x y")


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (None, None),
        (True, True),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (1.5, 1.5),
        ("", ""),
        ("坏 ✓ 😀", "坏 ✓ 😀"),
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (np.int64(-5), -5),
        (np.uint8(255), 255),
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.longdouble(0.25), 0.25),
        (np.bool_(True), True),
        (np.str_("s"), "s"),
        (np.arange(3), [0, 1, 2]),
        (np.zeros((2, 2), bool), [[False, False], [False, False]]),
        (np.array(7), 7),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1, "a", None], dtype=object), [1, "a", None]),
        (np.zeros(MAX_ARRAY_ELEMENTS), [0.0] * MAX_ARRAY_ELEMENTS),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ({Colour.RED: 1, np.str_("k"): 2}, {"red": 1, "k": 2}),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list, a=[1]), {"a": [1]}),
        (Rect(1, 2, 3, 4, "dent", 0.5), {"x": 1, "y": 2, "width": 3, "height": 4, "label": "dent", "score": 0.5}),
        (nested(MAX_DEPTH), nested(MAX_DEPTH)),
    ],
)
def test_values_an_algorithm_has_at_hand_become_plain_json(given_value: object, expected: JsonValue) -> None:
    made = normalise(given_value, "data")
    assert made == expected
    assert_plain(made)


def assert_plain(value: JsonValue) -> None:
    assert type(value) in (type(None), bool, int, float, str, list, dict)
    if isinstance(value, list):
        for item in value:
            assert_plain(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            assert type(key) is str
            assert_plain(item)


@pytest.mark.parametrize(
    ("given_value", "message"),
    [
        ({"defect_rects": [{}, {}, {}, {"score": math.nan}]}, r"^data\.defect_rects\[3\]\.score: expected a finite"),
        ([math.inf], r"^data\[0\]: expected a finite number, got inf"),
        ({"a": np.float64("-inf")}, r"^data\.a: expected a finite number, got -inf"),
        ({"a": np.array([1.0, math.nan])}, r"^data\.a\[1\]: expected a finite number, got nan"),
        ({"a b": b"x"}, r"^data\['a b'\]: expected a JSON value, got bytes"),
        ({"a": {1}}, r"^data\.a: expected a JSON value, got set"),
        ({"a": Decimal(1)}, r"^data\.a: expected a JSON value, got Decimal"),
        ({"a": datetime.now(UTC)}, r"^data\.a: expected a JSON value, got datetime"),
        ({"a": Path()}, r"^data\.a: expected a JSON value, got \w*Path"),
        ({"a": Plain.ONE}, r"^data\.a: expected a JSON value, got Plain"),
        ({"a": 1j}, r"^data\.a: expected a JSON value, got complex"),
        ({"a": np.complex64(1)}, r"^data\.a: expected a JSON value, got numpy complex64"),
        ({"a": np.timedelta64(1, "s")}, r"^data\.a: expected a JSON value, got numpy timedelta64"),
        ({"a": np.datetime64(0, "ns")}, r"^data\.a: expected a JSON value, got numpy datetime64"),
        ({"a": np.array([0], "M8[ns]")}, r"^data\.a: expected an array of numbers, .* got dtype datetime64"),
        ({"a": np.zeros(1, [("x", "i4")])}, r"^data\.a: expected an array of numbers"),
        ({"a": np.ma.masked_array([1], [True])}, r"^data\.a: expected a JSON value, got MaskedArray"),
        ({"a": np.zeros(MAX_ARRAY_ELEMENTS + 1)}, r"^data\.a: .* at most 4096 elements, got shape \(4097,\)"),
        ({"a": np.zeros((10**6, 0))}, r"^data\.a: .* got shape \(1000000, 0\)"),
        ({"a": {1: 2}}, r"^data\.a\[<int>\]: expected text as key, got int"),
        ({"a": {None: 2}}, r"^data\.a\[<NoneType>\]: expected text as key"),
        ({"a": "x\ud800"}, r"^data\.a: expected text, got a lone surrogate at character 1"),
        ({"\ud800": 1}, r"^data\['\\ud800'\]: expected text, got a lone surrogate"),
        ({"a": 2**64}, r"^data\.a: expected an integer of at most 64 bits, got one of 65"),
        ({"a": 10**5000}, r"^data\.a: expected an integer of at most 64 bits"),
        (nested(MAX_DEPTH + 1), r"^data(\[0\]){24}: nested deeper than 24 levels"),
        (nested(50_000), r"^data(\[0\]){24}: nested deeper than 24 levels"),
        ({"k": object()}, r"^data\.k: expected a JSON value, got object"),
    ],
)
def test_anything_else_is_an_invalid_result_that_names_its_place(given_value: object, message: str) -> None:
    with pytest.raises(InvalidResultError, match=message):
        normalise(given_value, "data")


def test_a_root_without_a_name_leaves_no_dot_in_front_of_the_path() -> None:
    with pytest.raises(InvalidResultError, match=r"^data\.score: "):
        normalise({"data": {"score": math.nan}}, "")
    with pytest.raises(InvalidResultError, match=r"^the value: "):
        normalise(math.nan, "")


def self_containing_list() -> Any:
    inner: list[Any] = [1]
    inner.append(inner)
    return {"a": inner}


def self_containing_dict() -> Any:
    first: dict[str, Any] = {}
    second: dict[str, Any] = {"back": first}
    first["there"] = second
    return {"a": first}


def cycle_beside_many_values() -> Any:
    wide: dict[str, Any] = {"many": list(range(5000))}
    wide["self"] = wide
    return {"a": wide}


@pytest.mark.parametrize(
    ("given_value", "path"),
    [
        (self_containing_list(), r"data\.a\[1\]"),
        (self_containing_dict(), r"data\.a\.there\.back"),
        (cycle_beside_many_values(), r"data\.a\.self"),
    ],
)
def test_a_value_that_contains_itself_is_told_with_its_first_round(given_value: object, path: str) -> None:
    with pytest.raises(InvalidResultError, match=rf"^{path}: contains itself$"):
        normalise(given_value, "data")


def test_the_same_list_at_two_places_is_no_cycle() -> None:
    shared = [1]
    assert normalise({"a": shared, "b": [shared, shared]}, "") == {"a": [1], "b": [[1], [1]]}


@pytest.mark.parametrize(
    ("given_value", "message"),
    [
        ([0] * MAX_NODES, "more than 40000 keys and values"),
        ({str(i): 0 for i in range(MAX_NODES // 2)}, "more than 40000 keys and values"),
        ([[0] * 4000] * 10, "more than 40000 keys and values"),
        ("x" * (MAX_TEXT_BYTES + 1), "bytes of text"),
        ("坏" * (MAX_TEXT_BYTES // 3 + 1), "bytes of text"),
        ({"x" * (MAX_TEXT_BYTES + 1): 1}, "bytes of text"),
        (["x" * 1024] * 1537, "bytes of text"),
        ({str(i): "x" * 1024 for i in range(1537)}, "bytes of text"),
    ],
)
def test_more_than_a_result_may_hold_is_too_large(given_value: object, message: str) -> None:
    with pytest.raises(ResultTooLargeError, match=message) as caught:
        normalise(given_value, "data")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("given_value", [[0] * (MAX_NODES - 1), "x" * MAX_TEXT_BYTES, "坏" * (MAX_TEXT_BYTES // 3)])
def test_exactly_as_much_as_a_result_may_hold_passes(given_value: Any) -> None:
    assert normalise(given_value, "data") == given_value


def test_the_copy_shares_nothing_with_the_original() -> None:
    original = {"a": [1, {"b": [2]}]}
    made = normalise(original, "data")
    original["a"].clear()
    assert made == {"a": [1, {"b": [2]}]}
