"""What may leave an algorithm as JSON: any tree checked, copied and bounded before it is encoded (spec.md §5).

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
from collections import OrderedDict, defaultdict
from math import isfinite, prod
from typing import Any, TypeAlias

import numpy as np

from procvision_sdk.errors import InvalidResultError, ResultTooLargeError
from procvision_sdk.geometry import Rect

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

# A frame holds 32 levels, 50 000 keys and values and 2 MiB (spec.md §4). A result gets less than that, since message,
# diagnostics and the session's changes travel in the same frame, and a host finds it some levels further down.
MAX_DEPTH = 24
MAX_NODES = 40_000
MAX_TEXT_BYTES = 1536 * 1024
# Larger arrays are images or features: they belong in files or shared memory, not in a result (spec.md §5).
MAX_ARRAY_ELEMENTS = 4096
# What a JSON reader in C++, C# or LabVIEW can hold: int64 and uint64.
INT_MIN, INT_MAX = -(2**63), 2**64 - 1
_PATH_KEY_CHARACTERS = 64
_CONTAINERS = (dict, list)

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
        """Where it stands, seen from a root of that name."""
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
    """More than a result may hold."""


class _Walk:
    """One pass over one tree: what it has spent so far, and whether it may convert."""

    __slots__ = ("convert", "nodes", "text_bytes")

    def __init__(self, convert: bool) -> None:
        self.convert = convert
        self.nodes = 1
        self.text_bytes = 0

    def value(self, item: Any, depth: int) -> JsonValue:
        kind = type(item)
        if kind is str:
            return self._text(item)
        if kind is int:
            return _integer(item)
        if kind is float:
            return _finite(item)
        if item is None or kind is bool:
            return item  # type: ignore[no-any-return]
        if kind is dict:
            return self._mapping(item, depth)
        if kind is list or kind is tuple:
            return self._sequence(item, depth)
        return self._other(item, kind, depth)

    def _text(self, text: str) -> str:
        # Characters first: a text of a gigabyte is refused before it is encoded.
        self._spend(len(text))
        if text.isascii():
            return text
        try:
            self._spend(len(text.encode("utf-8")) - len(text))
        except UnicodeEncodeError as error:
            reason = f"expected text, got a lone surrogate at character {error.start}"
            raise _Refused(reason, "decode bytes with errors='replace'") from None
        return text

    def _spend(self, text_bytes: int) -> None:
        self.text_bytes += text_bytes
        if self.text_bytes > MAX_TEXT_BYTES:
            raise _TooLarge(f"more than {MAX_TEXT_BYTES} bytes of text up to here")

    def _enter(self, size: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels")
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise _TooLarge(f"more than {MAX_NODES} keys and values up to here")

    def _mapping(self, mapping: dict[Any, Any], depth: int) -> dict[str, JsonValue]:
        self._enter(2 * dict.__len__(mapping), depth)
        copy: dict[str, JsonValue] = {}
        key: Any = ""
        # A snapshot, in one step under the GIL: another thread of the author may be writing to the dict.
        items = list(dict.items(mapping))
        # Short ASCII text and numbers are most of a result: done here without a call each (8 -> 6 us for 30 values,
        # 2026-11-20); whatever is not plainly good goes to `_key` and `value`, which say what is wrong.
        ascii_bytes = 0
        try:
            for key, item in items:
                if type(key) is str and key.isascii():
                    name = key
                    ascii_bytes += len(key)
                else:
                    name = self._key(key)
                kind = type(item)
                if kind is str and item.isascii():
                    copy[name] = item
                    ascii_bytes += len(item)
                elif (kind is float and isfinite(item)) or (kind is int and INT_MIN <= item <= INT_MAX):
                    copy[name] = item
                else:
                    copy[name] = self.value(item, depth + 1)
        except _Refused as refused:
            refused.trail.append((id(mapping), _key_step(key)))
            raise
        self._spend(ascii_bytes)
        if len(copy) != len(items):
            raise _Refused("two of its keys are the same text")
        return copy

    def _key(self, key: object) -> str:
        if type(key) is str:
            return self._text(key)
        if not (self.convert and issubclass(type(key), str)):
            raise _Refused(f"expected text as key, got {type_name(key)}", "use str(key)")
        return self._text(str.__str__(key))

    def _sequence(self, items: list[object] | tuple[object, ...], depth: int) -> list[JsonValue]:
        self._enter(len(items), depth)
        copy: list[JsonValue] = []
        try:
            for item in tuple(items):
                copy.append(self.value(item, depth + 1))
        except _Refused as refused:
            refused.trail.append((id(items), f"[{len(copy)}]"))
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
            return self._sequence(tuple(tuple.__iter__(item)), depth)
        if kind is Rect:
            return self._mapping(item.to_json(), depth)
        if kind is OrderedDict or kind is defaultdict:
            return self._mapping(item, depth)
        raise _Refused(f"expected a JSON value, got {type_name(item)}", _hint_for(kind))

    def _array(self, array: np.ndarray[Any, Any], depth: int) -> JsonValue:
        # An axis of length 0 counts as 1: an array of shape (10**9, 0) has no elements and a billion lists.
        elements = prod(max(1, length) for length in array.shape)
        if elements > MAX_ARRAY_ELEMENTS:
            reason = f"expected an array of at most {MAX_ARRAY_ELEMENTS} elements, got shape {array.shape}"
            raise _Refused(reason, "report a few numbers about it, or write it to a file")
        if array.dtype.kind not in "biufUO":
            raise _Refused(f"expected an array of numbers, text or bool, got dtype {array.dtype!s:.80}")
        return self.value(array.tolist(), depth)


def _integer(number: int) -> int:
    if not INT_MIN <= number <= INT_MAX:
        raise _Refused(f"expected an integer of at most 64 bits, got one of {number.bit_length()}")
    return number


def _finite(number: float) -> float:
    if not isfinite(number):
        raise _Refused(f"expected a finite number, got {number}", "JSON has no NaN and no infinity: leave the key out")
    return number


def _scalar(scalar: np.generic) -> JsonValue:
    kind = np.generic.dtype.__get__(scalar).kind
    if kind not in "biuf":
        raise _Refused(f"expected a JSON value, got numpy {type_name(scalar)}")
    plain: Any = np.generic.item(scalar)
    if kind == "f":
        return _finite(float(plain))
    return bool(plain) if kind == "b" else _integer(int(plain))


def type_name(value: object) -> str:
    """The name of a value's type, at most 80 characters, whatever its metaclass does."""
    return str(_TYPE_NAME.__get__(type(value)))[:80]


def _hint_for(kind: type) -> str:
    return next((hint for bases, hint in _HINTS if issubclass(kind, bases)), "")


_HINTS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bytes, "decode it, or leave it out: pixels do not travel in JSON"),
    (np.ndarray, "give numpy.asarray(value).tolist()"),
    (np.generic, "give value.item()"),
    (dict, "give dict(value)"),
    (list, "give list(value)"),
    ((set, frozenset), "give sorted(value)"),
    ((str, int, float), "give the plain value: str(value), int(value) or float(value)"),
)


def _key_step(key: object) -> str:
    if not issubclass(type(key), str):
        return f"[<{type_name(key)}>]"
    name = str.__str__(key)
    if len(name) > _PATH_KEY_CHARACTERS:
        name = name[:_PATH_KEY_CHARACTERS] + "..."
    return f".{name}" if name.isidentifier() else f"[{name!a}]"


def normalise(value: object, path: str) -> JsonValue:
    """A deep copy of `value` made of plain JSON types only, which no later change of the original reaches.

    numpy scalars become Python numbers, numpy arrays of up to 4096 elements and tuples become lists, a Rect its dict,
    subclasses of str, int and float (enums among them) their plain value. `path` (may be "") begins each error.

    Raises InvalidResultError (1010) for anything else, NaN and infinities, cycles, lone surrogates and more than 24
    levels; ResultTooLargeError (1011) for more than 40 000 keys and values or 1.5 MiB of text. Source: spec.md §5.
    """
    try:
        return _Walk(convert=True).value(value, 0)
    except _Refused as refused:
        error = InvalidResultError if _is_invalid(refused) else ResultTooLargeError
        raise error(f"{refused.path(path)}: {refused.reason}", hint=refused.hint) from None


def json_copy(value: object, path: str = "value") -> JsonValue:
    """A deep copy of a value that is plain JSON already (tuples become lists); what Session.set stores (spec.md §2).

    Raises TypeError, naming the place, for anything else, NaN and numpy types included; ValueError for too much.
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
        return {key: clone(item) if type(item) in _CONTAINERS else item for key, item in value.items()}
    if type(value) is list:
        return [clone(item) if type(item) in _CONTAINERS else item for item in value]
    return value


def encoded_bytes(value: JsonValue) -> int:
    """Bytes of a JSON value as it is sent: compact, UTF-8."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8"))
