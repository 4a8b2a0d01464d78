"""Parameters: declared, filled in, refused by name (spec.md §8)."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from procvision_sdk.errors import InvalidParamsError
from procvision_sdk.parameters import Parameter, apply, did_you_mean, json_schema

RECT = {"x": 1, "y": 2, "width": 3, "height": 4}


def parameter(**keys: Any) -> Parameter:
    return Parameter.model_validate({"key": "k", "type": "int"} | keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"type": "number"}, "Input should be 'int', 'float', 'rect', 'enum', 'bool' or 'string'"),
        ({"key": "9k"}, "should match pattern"),
        ({"key": ""}, "should match pattern"),
        ({"minimum": 1}, "Extra inputs are not permitted"),
        ({"required": 1}, "valid boolean"),
        ({"min": "1"}, "valid number"),
        ({"min": True}, "valid number"),
        ({"max": math.nan}, "finite number"),
        ({"min": 2, "max": 1}, "min 2.0 lies above max 1.0"),
        ({"choices": [1]}, "key 'choices' does not belong to type int"),
        ({"type": "bool", "min": 1}, "key 'min' does not belong to type bool"),
        ({"type": "rect", "pattern": "x"}, "key 'pattern' does not belong to type rect"),
        ({"type": "enum"}, "type enum needs choices"),
        ({"type": "enum", "choices": []}, "at least 1 item"),
        ({"type": "enum", "choices": [True]}, "expected text or a number"),
        ({"type": "enum", "choices": [math.inf]}, "expected text or a number"),
        ({"type": "enum", "choices": ["a", 1, "a"]}, "choices: 'a' stands twice"),
        ({"type": "string", "pattern": "("}, "is no regular expression"),
        ({"type": "string", "max_length": 1001}, "less than or equal to 1000"),
        ({"type": "string", "min_length": -1}, "greater than or equal to 0"),
        ({"type": "string", "min_length": 3, "max_length": 2}, "min_length 3 lies above max_length 2"),
        ({"default": "1"}, "default: parameter 'k': expected int, got '1' (str)"),
        ({"default": 5, "max": 4}, "default: parameter 'k': expected int of at most 4, got 5 (int)"),
        ({"default": 5, "min": 6, "max": 9, "unit": "px"}, "expected int from 6 to 9 px, got 5"),
        ({"type": "enum", "choices": ["a"], "default": "b"}, "expected one of ['a'], got 'b'"),
        ({"type": "rect", "default": "1,2,3"}, "expected rect {x, y, width, height} or 'x,y,w,h'"),
        ({"type": "string", "max_length": 2, "default": "abc"}, "expected string of 0 to 2 characters, got 'abc'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        parameter(**keys)


@pytest.mark.parametrize(
    ("keys", "value", "expected"),
    [
        ({}, 7, 7),
        ({"min": 0, "max": 255}, 0, 0),
        ({"min": 0, "max": 255}, 255, 255),
        ({"type": "float"}, 7, 7.0),
        ({"type": "float", "min": -0.5}, -0.5, -0.5),
        ({"type": "rect"}, RECT, RECT),
        ({"type": "rect"}, "1,2,3,4", RECT),
        ({"type": "enum", "choices": ["a", 1, 0.5]}, 1, 1),
        ({"type": "enum", "choices": ["a", 1, 0.5]}, 0.5, 0.5),
        ({"type": "bool"}, False, False),
        ({"type": "string"}, "", ""),
        ({"type": "string"}, "x" * 1000, "x" * 1000),
        ({"type": "string", "pattern": "b+"}, "abbc", "abbc"),
    ],
)
def test_a_good_value_reaches_the_algorithm_in_its_own_type(keys: dict[str, Any], value: Any, expected: Any) -> None:
    filled = apply([parameter(**keys)], {"k": value})
    assert filled == {"k": expected}
    assert type(filled["k"]) is type(expected)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ({}, "7", "parameter 'k': expected int, got '7' (str)"),
        ({}, 7.0, "parameter 'k': expected int, got 7.0 (float)"),
        ({}, True, "parameter 'k': expected int, got True (bool)"),
        ({}, None, "parameter 'k': expected int, got None (NoneType)"),
        ({}, [1], "parameter 'k': expected int, got [1] (list)"),
        ({}, object(), "parameter 'k': expected int, got object"),
        ({"min": 0, "max": 255}, -1, "parameter 'k': expected int from 0 to 255, got -1 (int)"),
        ({"min": 0, "max": 255, "unit": "grey"}, 256, "parameter 'k': expected int from 0 to 255 grey, got 256 (int)"),
        ({}, 10**400, "parameter 'k': expected int, got int"),
        ({"type": "float"}, "1", "parameter 'k': expected float, got '1' (str)"),
        ({"type": "float"}, True, "parameter 'k': expected float, got True (bool)"),
        ({"type": "float"}, math.nan, "parameter 'k': expected float, got float"),
        ({"type": "float"}, 10**400, "parameter 'k': expected float, got int"),
        ({"type": "float", "max": 0.5}, 0.6, "parameter 'k': expected float of at most 0.5, got 0.6 (float)"),
        ({"type": "bool"}, 1, "parameter 'k': expected bool, got 1 (int)"),
        ({"type": "enum", "choices": ["a", 1]}, True, "parameter 'k': expected one of ['a', 1], got True (bool)"),
        ({"type": "enum", "choices": ["a", 1]}, 1.0, "parameter 'k': expected one of ['a', 1], got 1.0 (float)"),
        ({"type": "enum", "choices": ["a"]}, {}, "parameter 'k': expected one of ['a'], got {} (dict)"),
        ({"type": "rect"}, {"x": 1}, "parameter 'k': expected rect {x, y, width, height} or 'x,y,w,h'"),
        ({"type": "rect"}, RECT | {"label": "a"}, "parameter 'k': expected rect"),
        ({"type": "rect"}, RECT | {"x": -1}, "parameter 'k': expected rect"),
        ({"type": "rect"}, RECT | {"x": 1.5}, "parameter 'k': expected rect"),
        ({"type": "rect"}, "1,2,-3,4", "parameter 'k': expected rect"),
        ({"type": "rect"}, [1, 2, 3, 4], "parameter 'k': expected rect"),
        ({"type": "string"}, 7, "parameter 'k': expected string of 0 to 1000 characters, got 7 (int)"),
        ({"type": "string"}, "x" * 1001, "parameter 'k': expected string of 0 to 1000 characters, got 'xxx"),
        ({"type": "string", "min_length": 2}, "x", "parameter 'k': expected string of 2 to 1000 characters, got 'x'"),
        ({"type": "string", "pattern": "^b+$"}, "abb", "0 to 1000 characters matching ^b+$, got 'abb' (str)"),
    ],
)
def test_a_bad_value_is_refused_with_key_expectation_and_what_came(
    keys: dict[str, Any], value: Any, message: str
) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        apply([parameter(**keys)], {"k": value})
    assert message in caught.value.message
    assert caught.value.code == "1006"
    assert len(caught.value.message) < 300


def test_defaults_are_filled_in_and_what_has_none_is_absent() -> None:
    declared = [
        parameter(key="threshold", default=200),
        parameter(key="roi", type="rect", default="1,2,3,4"),
        parameter(key="flag", type="bool", default=False),
        parameter(key="must", required=True, default=0),
        parameter(key="optional"),
    ]
    filled = apply(declared, {})
    assert filled == {"threshold": 200, "roi": RECT, "flag": False, "must": 0}
    filled["roi"]["x"] = 99
    assert apply(declared, {"threshold": 7})["roi"] == RECT


def test_a_missing_required_parameter_is_named() -> None:
    with pytest.raises(InvalidParamsError, match=r"^parameter 'k': expected int of at least 1, got nothing$"):
        apply([parameter(required=True, min=1)], {})


@pytest.mark.parametrize(
    ("given_key", "hint"), [("treshold", "did you mean 'threshold'?"), ("zzz", ""), ("k" * 5000, "")]
)
def test_an_unknown_key_is_refused_before_anything_is_missing(given_key: str, hint: str) -> None:
    declared = [parameter(key="threshold", required=True), parameter(key="area")]
    with pytest.raises(InvalidParamsError, match=r"unknown; expected one of \['threshold', 'area'\]") as caught:
        apply(declared, {given_key: 1})
    assert caught.value.hint == hint


def test_a_step_without_parameters_says_so() -> None:
    assert apply([], {}) == {}
    with pytest.raises(InvalidParamsError, match="this step has no parameters"):
        apply([], {"k": 1})


@pytest.mark.parametrize("params", [None, [], "x", 7])
def test_parameters_that_are_no_object_are_refused(params: Any) -> None:
    with pytest.raises(InvalidParamsError, match=r"^user_params: expected an object, got "):
        apply([], params)


def test_the_schema_says_what_a_form_needs() -> None:
    declared = [
        parameter(key="threshold", default=200, min=0, max=255, unit="grey", description="Brightness."),
        parameter(key="ratio", type="float", required=True, max=0.5),
        parameter(key="mode", type="enum", choices=["fast", 2]),
        parameter(key="name", type="string", min_length=1, pattern="^a"),
        parameter(key="on", type="bool", required=True, default=True),
        parameter(key="roi", type="rect"),
    ]
    schema = json_schema(declared)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    roi = properties.pop("roi")
    assert schema == {
        "type": "object",
        "properties": {
            "threshold": {
                "type": "integer",
                "description": "Brightness.",
                "default": 200,
                "minimum": 0,
                "maximum": 255,
                "x-unit": "grey",
            },
            "ratio": {"type": "number", "maximum": 0.5},
            "mode": {"enum": ["fast", 2]},
            "name": {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": "^a"},
            "on": {"type": "boolean", "default": True},
        },
        "required": ["ratio"],
        "additionalProperties": False,
    }
    assert isinstance(roi, dict)
    assert [form["type"] for form in roi["anyOf"]] == ["object", "string"]  # type: ignore[index,call-overload,union-attr]


def test_the_schemas_of_two_steps_share_nothing() -> None:
    first = json_schema([parameter(type="rect")])
    first["properties"]["k"]["anyOf"].clear()  # type: ignore[index,call-overload,union-attr]
    second = json_schema([parameter(type="rect")])
    assert len(second["properties"]["k"]["anyOf"]) == 2  # type: ignore[index,call-overload,arg-type]


@given(
    st.dictionaries(
        st.sampled_from(["threshold", "ratio", "other"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_whatever_a_host_sends_the_algorithm_gets_the_declared_types_or_nothing(sent: dict[str, Any]) -> None:
    declared = [
        parameter(key="threshold", default=200, min=0, max=255),
        parameter(key="ratio", type="float", default=1),
    ]
    try:
        filled = apply(declared, sent)
    except InvalidParamsError as error:
        assert error.message
    else:
        assert type(filled["threshold"]) is int
        assert 0 <= filled["threshold"] <= 255
        assert type(filled["ratio"]) is float
        assert math.isfinite(filled["ratio"])
        assert set(filled) == {"threshold", "ratio"}


def test_a_hint_is_given_only_for_a_close_word() -> None:
    assert did_you_mean("tresh", ["thresh", "area"]) == "did you mean 'thresh'?"
    assert did_you_mean("zzz", ["thresh", "area"]) == ""
    assert did_you_mean("x", []) == ""
