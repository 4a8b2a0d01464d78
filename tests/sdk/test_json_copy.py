"""json_copy: what a session stores is plain JSON already (spec.md §2)."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import (
    MAX_DEPTH,
    MAX_NODES,
    json_copy,
)


class Colour(StrEnum):
    RED = "red"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def self_containing_list() -> Any:
    inner: list[Any] = [1]
    inner.append(inner)
    return {"a": inner}


@pytest.mark.parametrize(
    ("given_value", "message"),
    [
        (math.nan, r"^value: expected a finite number, got nan"),
        ({"a": [math.inf]}, r"^value\.a\[0\]: expected a finite number"),
        (np.zeros(2), r"^value: expected plain JSON, got ndarray .*tolist"),
        ({"a": np.float64(1)}, r"^value\.a: expected plain JSON, got float64 .*item"),
        (np.int64(1), r"^value: expected plain JSON, got int64"),
        ({1: 2}, r"^value\[<int>\]: expected text as key"),
        ({Colour.RED: 2}, r"^value\.red: expected text as key, got Colour"),
        (Colour.RED, r"^value: expected plain JSON, got Colour .*str\(value\)"),
        (Rect(1, 2, 3, 4), r"^value: expected plain JSON, got Rect"),
        ({1, 2}, r"^value: expected plain JSON, got set"),
        (b"", r"^value: expected plain JSON, got bytes"),
        ("\udfff", r"^value: expected text, got a lone surrogate"),
        (self_containing_list(), r"^value\.a\[1\]: contains itself"),
        (nested(MAX_DEPTH + 1), r"nested deeper than 24"),
    ],
)
def test_a_session_value_that_is_not_plain_json_is_a_type_error(given_value: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        json_copy(given_value)


def test_a_session_value_takes_tuples_as_lists() -> None:
    assert json_copy({"shift": (1, 2)}) == {"shift": [1, 2]}


def test_a_session_value_beyond_a_frame_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"^value: more than 40000 keys and values"):
        json_copy([0] * MAX_NODES)
