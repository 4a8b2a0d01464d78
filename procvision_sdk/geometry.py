"""Rect: a rectangle in whole pixels, origin at the top left corner of the image (spec.md §5)."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from procvision_sdk.errors import CoordinateInvalidError, InvalidResultError

if TYPE_CHECKING:
    from procvision_sdk.json_value import JsonValue

_SIDES = ("x", "y", "width", "height")
_KEYS = (*_SIDES, "label", "score")


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle whose four numbers are Python ints, with an optional label and a score from 0 to 1.

    numpy integers are accepted. A float, a bool or a negative width or height raises CoordinateInvalidError (1007):
    rounding is the author's decision. A wrong label or score raises InvalidResultError (1010).
    """

    x: int
    y: int
    width: int
    height: int
    label: str = ""
    score: float | None = None

    def __post_init__(self) -> None:
        for name in _SIDES:
            object.__setattr__(self, name, _whole(getattr(self, name), name))
        for name in ("width", "height"):
            if getattr(self, name) < 0:
                raise CoordinateInvalidError(f"{name}: expected 0 or more, got {getattr(self, name)}")
        if not issubclass(type(self.label), str):
            raise InvalidResultError(f"label: expected text, got {type(self.label).__name__}")
        object.__setattr__(self, "label", str.__str__(self.label))
        if self.score is not None:
            object.__setattr__(self, "score", _score(self.score))

    def inside(self, width: int, height: int) -> bool:
        """Whether every pixel of the rectangle lies in an image of width x height pixels."""
        return self.x >= 0 and self.y >= 0 and self.x + self.width <= width and self.y + self.height <= height

    def iou(self, other: Rect) -> float:
        """Intersection over union with another rectangle, 0.0 to 1.0; 0.0 when both are empty."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(across, 0) * max(down, 0)
        union = self.width * self.height + other.width * other.height - shared
        return shared / union if union else 0.0

    def to_json(self) -> dict[str, JsonValue]:
        """The form of spec.md §5; an empty label and a missing score are left out."""
        plain: dict[str, JsonValue] = {"x": self.x, "y": self.y, "width": self.width, "height": self.height}
        if self.label:
            plain["label"] = self.label
        if self.score is not None:
            plain["score"] = self.score
        return plain

    @classmethod
    def parse(cls, value: object, path: str) -> Rect:
        """A Rect from `{x, y, width, height, label?, score?}` or the text "x,y,w,h"; errors begin with `path`."""
        if isinstance(value, str):
            return _from_text(value, path)
        if not isinstance(value, Mapping):
            raise CoordinateInvalidError(
                f"{path}: expected a rectangle {{x, y, width, height}} or the text 'x,y,w,h', "
                f"got {type(value).__name__}"
            )
        missing = [name for name in _SIDES if name not in value]
        if missing:
            raise CoordinateInvalidError(f"{path}: expected x, y, width and height, {', '.join(missing)} missing")
        unknown = [str(key)[:40] for key in value if key not in _KEYS]
        if unknown:
            raise CoordinateInvalidError(f"{path}: unknown key {unknown[0]!a}; a rectangle has {', '.join(_KEYS)}")
        try:
            return cls(**value)
        except (CoordinateInvalidError, InvalidResultError) as error:
            raise type(error)(f"{path}.{error.message}", hint=error.hint) from None


def _whole(value: Any, name: str) -> int:
    try:
        if type(value) is bool:
            raise TypeError
        return int.__int__(operator.index(value))
    except TypeError:
        raise CoordinateInvalidError(
            f"{name}: expected whole pixels (int), got {type(value).__name__}", hint="round it: int(round(value))"
        ) from None


def _score(value: Any) -> float:
    try:
        number = math.nan if issubclass(type(value), (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0.0 <= number <= 1.0:
        shown = value if type(value) in (int, float) else type(value).__name__
        raise InvalidResultError(f"score: expected a number from 0 to 1, got {str(shown)[:40]}")
    return number


def _from_text(text: str, path: str) -> Rect:
    parts = text.split(",")
    try:
        x, y, width, height = (int(part) for part in parts)
    except ValueError:
        raise CoordinateInvalidError(f"{path}: expected four whole numbers 'x,y,w,h', got {text[:60]!a}") from None
    try:
        return Rect(x, y, width, height)
    except CoordinateInvalidError as error:
        raise CoordinateInvalidError(f"{path}.{error.message}") from None
