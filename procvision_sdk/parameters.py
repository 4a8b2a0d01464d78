"""Parameters a host may set per step: what is declared, filled in and refused (spec.md §8)."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from procvision_sdk.errors import AlgorithmError, InvalidParamsError, InvalidResultError
from procvision_sdk.geometry import Rect
from procvision_sdk.json_value import INT_MAX, INT_MIN, JsonValue, clone, json_copy, type_name
from procvision_sdk.validation import first_problem

MAX_STRING_LENGTH: Final = 1000


def _checked_choice(choice: Any) -> str | int | float:
    if type(choice) in (str, int) or (type(choice) is float and math.isfinite(choice)):
        return choice  # type: ignore[no-any-return]
    raise ValueError("expected text or a number")


# Takes 5 as well as 5.0, keeps out bool and NaN.
Number: TypeAlias = Annotated[StrictFloat, Field(allow_inf_nan=False)]
Choice: TypeAlias = Annotated[Any, AfterValidator(_checked_choice), WithJsonSchema({"type": ["string", "number"]})]

_KEYS_OF_TYPE: Final = {
    "int": ("min", "max", "unit"),
    "float": ("min", "max", "unit"),
    "rect": (),
    "enum": ("choices",),
    "bool": (),
    "string": ("min_length", "max_length", "pattern"),
}
_SPECIAL_KEYS: Final = ("min", "max", "unit", "choices", "min_length", "max_length", "pattern")


class Parameter(BaseModel):
    """One declared parameter; checks itself, so that a manifest with a default out of range is never deployed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: StrictStr = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
    type: Literal["int", "float", "rect", "enum", "bool", "string"]
    required: StrictBool = Field(False, description="The host must give it, unless there is a default.")
    default: Any = Field(None, description="Filled in when the host gives nothing; null means no default.")
    min: Number | None = None
    max: Number | None = None
    unit: StrictStr | None = None
    choices: tuple[Choice, ...] | None = Field(None, min_length=1)
    description: StrictStr = ""
    min_length: StrictInt | None = Field(None, ge=0, le=MAX_STRING_LENGTH)
    max_length: StrictInt | None = Field(None, ge=0, le=MAX_STRING_LENGTH)
    pattern: StrictStr | None = Field(
        None, description="Found anywhere in the text, as JSON Schema has it; use ^ and $."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Parameter:
        allowed = _KEYS_OF_TYPE[self.type]
        for key in _SPECIAL_KEYS:
            if getattr(self, key) is not None and key not in allowed:
                raise ValueError(f"key {key!r} does not belong to type {self.type}")
        if self.type == "enum" and self.choices is None:
            raise ValueError("type enum needs choices")
        choices = [(type(choice), choice) for choice in self.choices or ()]
        for place, choice in enumerate(choices):
            if choice in choices[:place]:
                raise ValueError(f"choices: {choice[1]!r} stands twice")
        for low, high in (("min", "max"), ("min_length", "max_length")):
            below, above = getattr(self, low), getattr(self, high)
            if below is not None and above is not None and below > above:
                raise ValueError(f"{low} {below} lies above {high} {above}")
        if self.pattern is not None:
            _compile(self.pattern)
        if self.default is not None:
            try:
                checked(self, self.default)
            except InvalidParamsError as error:
                raise ValueError(f"default: {error.message}") from None
        return self


def declared(raws: Iterable[object], where: str) -> tuple[Parameter, ...]:
    """What a step declares in get_info; InvalidResultError (1010) names the place of what is wrong with it."""
    try:
        return tuple(map(Parameter.model_validate, raws))
    except ValidationError as error:
        raise InvalidResultError(f"{where}: {first_problem(error)}") from None


def apply(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a call: what the host gave, checked, and defaults for the rest.

    Values are Python's own (`int`, `float`, `str`, `bool`; rect as `{x, y, width, height}`), the dict is the caller's.
    A parameter that is neither given nor has a default is absent. Raises InvalidParamsError (1006). Source: spec.md §8.
    """
    if not isinstance(given, Mapping):
        raise InvalidParamsError(f"user_params: expected an object, got {type_name(given)}")
    _refuse_unknown(parameters, given)
    filled: dict[str, Any] = {}
    for parameter in parameters:
        value = given.get(parameter.key, parameter.default)
        if value is not None or parameter.key in given:
            filled[parameter.key] = checked(parameter, value)
        elif parameter.required:
            raise InvalidParamsError(f"parameter {parameter.key!r}: expected {_expected(parameter)}, got nothing")
    return filled


def _refuse_unknown(parameters: Sequence[Parameter], given: Mapping[str, Any]) -> None:
    known = [parameter.key for parameter in parameters]
    for key in given:
        if key not in known:
            raise InvalidParamsError(
                f"parameter {str(key)[:60]!a}: unknown; expected one of {known or 'none, this step has no parameters'}",
                hint=did_you_mean(str(key), known),
            )


def checked(parameter: Parameter, value: Any) -> JsonValue:
    """`value` in the form the algorithm gets, or InvalidParamsError naming key, expectation and what came."""
    accepted = _CHECKS[parameter.type](parameter, value)
    if accepted is None:
        raise InvalidParamsError(f"parameter {parameter.key!r}: expected {_expected(parameter)}, got {_shown(value)}")
    return accepted


def _check_int(parameter: Parameter, value: Any) -> int | None:
    is_int = type(value) is int and INT_MIN <= value <= INT_MAX
    return value if is_int and _in_range(parameter, value) else None


def _check_float(parameter: Parameter, value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and _in_range(parameter, number) else None


def _check_rect(_parameter: Parameter, value: Any) -> dict[str, JsonValue] | None:
    try:
        rect = Rect.parse(value, "rect")
    except AlgorithmError:
        return None
    bare = rect.x >= 0 and rect.y >= 0 and not rect.label and rect.score is None
    return rect.to_json() if bare else None


def _check_enum(parameter: Parameter, value: Any) -> JsonValue:
    # By type as well: True is no 1 and 1.0 is no 1, or an algorithm that compares gets surprises.
    return next((choice for choice in parameter.choices or () if type(choice) is type(value) and choice == value), None)


def _check_bool(_parameter: Parameter, value: Any) -> bool | None:
    return value if type(value) is bool else None


def _check_string(parameter: Parameter, value: Any) -> str | None:
    if type(value) is not str:
        return None
    longest = MAX_STRING_LENGTH if parameter.max_length is None else parameter.max_length
    if not (parameter.min_length or 0) <= len(value) <= longest:
        return None
    if parameter.pattern is not None and not _compile(parameter.pattern).search(value):
        return None
    return value


_CHECKS: Final = {
    "int": _check_int,
    "float": _check_float,
    "rect": _check_rect,
    "enum": _check_enum,
    "bool": _check_bool,
    "string": _check_string,
}


def _in_range(parameter: Parameter, number: float) -> bool:
    return (parameter.min is None or number >= parameter.min) and (parameter.max is None or number <= parameter.max)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"pattern {pattern[:60]!a} is no regular expression: {error}") from None


def _expected(parameter: Parameter) -> str:
    """What a value must be, in words for the person at the host."""
    if parameter.type == "enum":
        return f"one of {list(parameter.choices or ())}"
    if parameter.type == "rect":
        return "rect {x, y, width, height} or 'x,y,w,h' in whole pixels of 0 or more"
    if parameter.type == "string":
        longest = MAX_STRING_LENGTH if parameter.max_length is None else parameter.max_length
        like = "" if parameter.pattern is None else f" matching {parameter.pattern}"
        return f"string of {parameter.min_length or 0} to {longest} characters{like}"
    low, high = _plain(parameter.min), _plain(parameter.max)
    span = f" from {low} to {high}"
    if low is None or high is None:
        span = f" of at least {low}" if low is not None else f" of at most {high}" if high is not None else ""
    return f"{parameter.type}{span}{f' {parameter.unit}' if parameter.unit else ''}"


def _plain(limit: float | None) -> int | float | None:
    """A limit as people write it: 255, not 255.0."""
    return int(limit) if limit is not None and limit.is_integer() else limit


def _shown(value: Any) -> str:
    """A value for an error message: JSON is shown cut, anything else only by its type."""
    try:
        return f"{json_copy(value)!a:.80} ({type_name(value)})"
    except (TypeError, ValueError):
        return type_name(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint "did you mean 'threshold'?" for the closest of the known words, or "" when none is close."""
    close = difflib.get_close_matches(word[:100], list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def json_schema(parameters: Sequence[Parameter]) -> dict[str, JsonValue]:
    """A JSON Schema of the parameters, from which a host can draw a form; the unit stands in `x-unit`."""
    properties: dict[str, JsonValue] = {parameter.key: _property(parameter) for parameter in parameters}
    required: list[JsonValue] = [p.key for p in parameters if p.required and p.default is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _property(parameter: Parameter) -> dict[str, JsonValue]:
    schema: dict[str, JsonValue] = {key: clone(value) for key, value in _SHAPES[parameter.type].items()}
    if parameter.type == "string":
        schema["maxLength"] = MAX_STRING_LENGTH
    for key, word in _WORDS.items():
        value = getattr(parameter, key)
        if value is not None and value != "":
            schema[word] = _plain(value) if word in ("minimum", "maximum") else json_copy(value)
    return schema


_WORDS: Final = {
    "description": "description",
    "default": "default",
    "min": "minimum",
    "max": "maximum",
    "unit": "x-unit",
    "choices": "enum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
}
_PIXELS: Final[dict[str, JsonValue]] = {"type": "integer", "minimum": 0}
_SHAPES: Final[dict[str, dict[str, JsonValue]]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "enum": {},
    "rect": {
        "anyOf": [
            {
                "type": "object",
                "properties": dict.fromkeys(("x", "y", "width", "height"), _PIXELS),
                "required": ["x", "y", "width", "height"],
                "additionalProperties": False,
            },
            {"type": "string", "pattern": r"^\s*\d+\s*(,\s*\d+\s*){3}$"},
        ]
    },
}
