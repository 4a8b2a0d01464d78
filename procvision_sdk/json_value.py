"""What may leave an algorithm as JSON: any tree checked, copied and bounded before a byte of it is encoded (spec.md §5).

Rules of this file:
- No code of the author runs while a value is read: types are compared exactly or with `issubclass(type(value), ...)`,
  subclasses of str, int, float and tuple are read through their base, other subclasses are refused. So neither
  `__repr__`, `items()`, `__class__` nor a metaclass can raise out of here or change what was checked.
- Every refusal names its place (`data.defect_rects[3].score`). The path is put together only while a refusal
  travels up, therefore a good value pays nothing for it.
- A container that contains itself is noticed at a refusal too: it always runs into the depth or the node limit.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

from procvision_sdk.errors import InvalidResultError, ResultTooLargeError

JsonValue: TypeAlias = "None | bool | int | float | str | list[JsonValue] | dict[str, JsonValue]"

# The frame limits of spec.md §4, kept here too so that a hook learns the place and not only that it was too much.
MAX_DEPTH = 32
MAX_NODES = 50_000
# A frame holds 2 MiB; the rest is for numbers, punctuation, diagnostics and the session's changes.
MAX_TEXT_BYTES = 1536 * 1024
# Larger arrays are images or features: they belong in files or shared memory, not in a result (spec.md §5).
MAX_ARRAY_ELEMENTS = 4096
# What every JSON reader of a C++, C# or LabVIEW host can hold: int64 and uint64.
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_PATH_KEY_CHARACTERS = 64

# Read from `type` itself, since a metaclass may put a property of that name in front.
_TYPE_NAME = type.__dict__["__name__"]


class _Refused(Exception):
    """A value that may not pass; `trail` collects (container id, step) pairs from the inside out."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.trail: list[tuple[int, str]] = []

    def path(self, root: str) -> str:
        return (root + "".join(step for _, step in reversed(self.trail))).removeprefix(".") or "the value"

    def cut_at_cycle(self) -> bool:
        """Whether the trail passes one container twice; then only its first round is kept."""
        seen: set[int] = set()
        for position, (container, _) in enumerate(reversed(self.trail)):
            if container in seen:
                self.trail = self.trail[-position:]
                return True
            seen.add(container)
        return False


class _TooLarge(_Refused):
    pass


class _Walk:
    """One pass over one tree: what it has spent, and whether conversions are allowed."""

    __slots__ = ("convert", "nodes", "text_bytes")

    def __init__(self, convert: bool) -> None:
        self.convert = convert
        self.nodes = 1
        self.text_bytes = 0

    def value(self, item: object, depth: int) -> JsonValue:
        kind = type(item)
        if kind is str:
            return self._text(item)  # type: ignore[arg-type]
        if kind is int:
            return _integer(item)  # type: ignore[arg-type]
        if kind is float:
            return _finite(item)  # type: ignore[arg-type]
        if item is None or kind is bool:
            return item  # type: ignore[return-value]
        if kind is dict:
            return self._mapping(item, depth)  # type: ignore[arg-type]
        if kind is list or kind is tuple:
            return self._sequence(item, item, depth)  # type: ignore[arg-type]
        return self._other(item, kind, depth)

    def _text(self, text: str) -> str:
        # Characters first: a text of a gigabyte is refused before it is encoded.
        if len(text) > MAX_TEXT_BYTES:
            raise _TooLarge(f"text of {len(text)} characters; a result holds at most {MAX_TEXT_BYTES} bytes of text")
        if text.isascii():
            self.text_bytes += len(text)
        else:
            try:
                self.text_bytes += len(text.encode("utf-8"))
            except UnicodeEncodeError as error:
                raise _Refused(
                    f"expected text, got a lone surrogate {text[error.start]!a} at character {error.start}",
                    "decode bytes with errors='replace'",
                ) from None
        if self.text_bytes > MAX_TEXT_BYTES:
            raise _TooLarge(f"more than {MAX_TEXT_BYTES} bytes of text up to here")
        return text

    def _enter(self, size: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels")
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise _TooLarge(f"more than {MAX_NODES} values up to here")

    def _mapping(self, mapping: dict[object, object], depth: int) -> dict[str, JsonValue]:
        # One step under the GIL: another thread of the author may be writing to the same dict.
        items = list(dict.items(mapping))
        copy: dict[str, JsonValue] = {}
        key: object = None
        try:
            self._enter(len(items), depth)
            for key, item in items:
                name = self._text(key) if type(key) is str else self._key(key, copy)
                copy[name] = self.value(item, depth + 1)
        except _Refused as refused:
            refused.trail.append((id(mapping), _key_step(key) if items else ""))
            raise
        return copy

    def _key(self, key: object, taken: dict[str, JsonValue]) -> str:
        if not (self.convert and issubclass(type(key), str)):
            raise _Refused(f"expected text as key, got {type_name(key)}", "use str(key)")
        name = self._text(str.__str__(key))  # type: ignore[arg-type]
        if name in taken:
            raise _Refused("this key stands twice")
        return name

    def _sequence(self, source: object, items: Iterable[object], depth: int) -> list[JsonValue]:
        copy: list[JsonValue] = []
        try:
            self._enter(len(items), depth)  # type: ignore[arg-type]
            for item in items:
                copy.append(self.value(item, depth + 1))
        except _Refused as refused:
            refused.trail.append((id(source), f"[{len(copy)}]"))
            raise
        return copy

    def _other(self, item: Any, kind: type, depth: int) -> JsonValue:
        if not self.convert:
            raise _Refused(f"expected plain JSON, got {type_name(item)}", _hint_for(kind))
        if issubclass(kind, np.generic) and not issubclass(kind, np.str_):
            return _scalar(item)
        if kind is np.ndarray:
            return self._array(item, depth)
        if issubclass(kind, str):
            return self._text(str.__str__(item))
        if issubclass(kind, int):
            return _integer(int.__int__(item))
        if issubclass(kind, float):
            return _finite(float.__float__(item))
        if issubclass(kind, tuple):
            return self._sequence(item, list(tuple.__iter__(item)), depth)
        if kind is OrderedDict or kind is defaultdict:
            return self._mapping(item, depth)
        raise _Refused(f"expected a JSON value, got {type_name(item)}", _hint_for(kind))

    def _array(self, array: np.ndarray[Any, Any], depth: int) -> JsonValue:
        # An axis of length 0 counts as 1: an array of shape (10**9, 0) has no elements and a billion lists.
        elements = math.prod(max(1, length) for length in array.shape)
        if elements > MAX_ARRAY_ELEMENTS:
            raise _Refused(
                f"expected a numpy array of at most {MAX_ARRAY_ELEMENTS} elements, got shape {array.shape}",
                "report a few numbers about it, or write it to a file",
            )
        if array.dtype.kind not in "biufUO":
            raise _Refused(f"expected an array of numbers, text or bool, got dtype {array.dtype}")
        return self.value(array.tolist(), depth)


def _integer(number: int) -> int:
    if not _INT_MIN <= number <= _INT_MAX:
        raise _Refused(f"expected an integer of at most 64 bits, got one of {number.bit_length()}")
    return number


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise _Refused(f"expected a finite number, got {number}", "JSON has no NaN and no infinity: leave the key out")
    return number


def _scalar(scalar: np.generic) -> JsonValue:
    kind = np.generic.dtype.__get__(scalar).kind
    if kind == "b":
        return bool(scalar)
    if kind in "iu":
        return _integer(int(scalar))  # type: ignore[call-overload]
    if kind == "f":
        return _finite(float(scalar))  # type: ignore[arg-type]
    raise _Refused(f"expected a JSON value, got numpy {type_name(scalar)}")


def type_name(value: object) -> str:
    """The name of a value's type, at most 80 characters, whatever its metaclass does."""
    return str(_TYPE_NAME.__get__(type(value)))[:80]


def _hint_for(kind: type) -> str:
    for base, hint in _HINTS:
        if issubclass(kind, base):
            return hint
    return ""


_HINTS: tuple[tuple[type, str], ...] = (
    (bytes, "decode it, or leave it out: pixels do not travel in JSON"),
    (np.ndarray, "give numpy.asarray(value).tolist()"),
    (np.generic, "give value.item()"),
    (dict, "give dict(value)"),
    (list, "give list(value)"),
    (set, "give sorted(value)"),
    (frozenset, "give sorted(value)"),
    (str, "give str(value)"),
    (int, "give int(value)"),
    (float, "give float(value)"),
)


def _key_step(key: object) -> str:
    if not issubclass(type(key), str):
        return f"[<{type_name(key)}>]"
    name = str.__str__(key)  # type: ignore[arg-type]
    if len(name) > _PATH_KEY_CHARACTERS:
        name = name[:_PATH_KEY_CHARACTERS] + "..."
    return f".{name}" if name.isidentifier() else f"[{name!a}]"


def normalise(value: object, path: str) -> JsonValue:
    """A deep copy of `value` made of plain JSON types only, which no later change of the original reaches.

    numpy scalars become Python numbers, numpy arrays of up to 4096 elements and tuples become lists, subclasses of
    str, int and float (enums among them) their plain value. `path` is the name of the root in errors; "" is allowed.

    Raises InvalidResultError (1010) for anything else, NaN and infinities, cycles, lone surrogates and more than 32
    levels; ResultTooLargeError (1011) for more than 50 000 values or 1.5 MiB of text. Source: spec.md §5.
    """
    try:
        return _Walk(convert=True).value(value, 0)
    except _Refused as refused:
        error = InvalidResultError if _is_invalid(refused) else ResultTooLargeError
        raise error(f"{refused.path(path)}: {refused.reason}", hint=refused.hint) from None


def json_copy(value: object, path: str = "value") -> JsonValue:
    """A deep copy of a value that is plain JSON already (tuples become lists); what Session.set stores (spec.md §2).

    Raises TypeError, naming the place, for anything else: NaN, numpy arrays and numpy scalars included. More than a
    frame could hold is a ValueError.
    """
    try:
        return _Walk(convert=False).value(value, 0)
    except _Refused as refused:
        error = TypeError if _is_invalid(refused) else ValueError
        hint = f" ({refused.hint})" if refused.hint else ""
        raise error(f"{refused.path(path)}: {refused.reason}{hint}") from None


def _is_invalid(refused: _Refused) -> bool:
    if refused.cut_at_cycle():
        refused.reason = "contains itself"
        return True
    return not isinstance(refused, _TooLarge)


def clone(value: JsonValue) -> JsonValue:
    """A deep copy of a value known to be JSON: no checks, for what `normalise` or `json_copy` made."""
    if type(value) is dict:
        return {key: clone(item) for key, item in value.items()}
    if type(value) is list:
        return [clone(item) for item in value]
    return value


def encoded_bytes(value: JsonValue) -> int:
    """Bytes of a JSON value as it is sent: compact, UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8"))
