"""The body of a frame: one JSON object as RFC 8259 has it, read strictly, written compactly (spec.md §4).

Refused on reading: bad UTF-8, NaN and infinities (also 1e999), duplicate keys, a lone surrogate, anything but an
object, more than 32 levels or 50 000 values. Nothing is repaired or guessed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from math import isfinite
from typing import Any

import msgspec

from procvision_sdk.errors import BadFrameError

MAX_DEPTH = 32
MAX_NODES = 50_000

# What is read in the quick way; it also knows numbers of more digits than the strict reader believes.
_USUAL_BYTES = 4096

_HINT = "send one UTF-8 JSON object per frame (RFC 8259: no NaN, no duplicate keys)"


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise BadFrameError(f"the key {twice[:64]!r} occurs twice in one object", hint=_HINT)
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise BadFrameError(f"the number {text[:32]} is outside the range of a double", hint=_HINT)
    return number


def _no_constant(name: str) -> float:
    raise BadFrameError(f"{name} is not JSON", hint=_HINT)


_decoder = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_float=_finite, parse_constant=_no_constant)


def decode(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; BadFrameError (4001) says what was wrong and roughly where."""
    usual = len(body) <= _USUAL_BYTES and not may_break_limits(body)
    try:
        value = msgspec.json.decode(body) if usual else None
    except (msgspec.DecodeError, ValueError):
        value = None  # the strict reader says what is wrong with it, or that nothing is
    if type(value) is dict and (msgspec.json.encode(value) == body or _has_each_key_once(value, body)):
        return value
    return decode_strictly(body)


def _has_each_key_once(value: dict[str, Any], body: bytes) -> bool:
    """Whether there are as many keys as colons: also where blanks, or the order of keys, are not ours."""
    return body.count(b":") == _keys(value.values()) + len(value)


def _keys(values: Iterable[Any]) -> int:
    """How many keys the objects among these values have, all levels down."""
    found = 0
    for value in values:
        kind = type(value)
        if kind is dict:
            found += len(value) + _keys(value.values())
        elif kind is list:
            found += _keys(value)
    return found


def decode_strictly(body: bytes) -> dict[str, Any]:
    """The same for any body; `decode` takes a third less time for usual ones, and this way for whatever is not."""
    try:
        text = body.decode("utf-8")
        value = _decoder.decode(text)
    except UnicodeDecodeError as error:
        raise BadFrameError(f"the body is not UTF-8: byte {error.start} of {len(body)}", hint=_HINT) from None
    except RecursionError:
        raise BadFrameError(f"the body is nested deeper than {MAX_DEPTH} levels", hint=_HINT) from None
    except ValueError as error:
        raise BadFrameError(f"the body is not JSON: {error}", hint=_HINT) from None
    if type(value) is not dict:
        raise BadFrameError(f"expected a JSON object, got {type(value).__name__}", hint=_HINT)
    if may_break_limits(body):
        check_limits(value)
    if b"\\u" in body:  # only an escape can smuggle half of a pair past the UTF-8 decoder
        _refuse_surrogates(value)
    return value


def may_break_limits(body: bytes) -> bool:
    """Each level opens with a bracket and each value takes two bytes: only such bodies have to be walked."""
    return len(body) > MAX_NODES or body.count(b"{") + body.count(b"[") > MAX_DEPTH


def check_limits(root: Mapping[str, Any]) -> None:
    """BadFrameError (4001) for more than 32 levels or 50 000 values."""
    nodes = 0
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH):
        nodes += sum(map(len, level))
        if nodes > MAX_NODES:
            raise BadFrameError(f"the body holds more than {MAX_NODES} values", hint=_HINT)
        children = chain.from_iterable(value.values() if type(value) is dict else value for value in level)
        level = [child for child in children if type(child) is dict or type(child) is list]
        if not level:
            return
    raise BadFrameError(f"the body is nested deeper than {MAX_DEPTH} levels", hint=_HINT)


def _refuse_surrogates(value: dict[str, Any]) -> None:
    try:
        _encoder.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise BadFrameError("a string holds half of a surrogate pair", hint=_HINT) from None


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def encode(message: Mapping[str, Any]) -> bytes:
    """The body for a message of plain JSON values.

    BadFrameError (4001) when it breaks a limit the other side holds it to, ValueError for NaN and lone surrogates,
    TypeError for anything that is not JSON.
    """
    body = _encoder.encode(message).encode("utf-8")
    if may_break_limits(body):
        check_limits(message)
    return body
