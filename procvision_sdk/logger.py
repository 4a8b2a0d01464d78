"""StructuredLogger: one JSON line per record on stderr, and never an exception into the algorithm (spec.md §12).

    {"level": "info", "timestamp_ms": 1714032000123, "message": "...", <author's fields>, <bound fields>}

Lines are ASCII: terminal escapes, line breaks and other control characters of a message or a field arrive as \\uXXXX
and cannot forge a second record. The adapter binds pid, step_index, session_id, request_id and trace_id for the
running call; an author's field of such a name is kept as `field_<name>`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Final, TextIO

from procvision_sdk.errors import AlgorithmError, cut
from procvision_sdk.json_value import JsonValue, encoded_bytes, normalise, type_name

MAX_MESSAGE_BYTES: Final = 8 * 1024
MAX_FIELD_BYTES: Final = 8 * 1024
MAX_NAME_BYTES: Final = 128
# A reader of lines needs a bound on a line; what is beyond it is counted in `fields_dropped`.
MAX_FIELDS_BYTES: Final = 32 * 1024

_RANKS: Final = {"debug": 10, "info": 20, "warning": 30, "warn": 30, "error": 40}
_RESERVED: Final = ("level", "timestamp_ms", "message", "fields_dropped")


class _Process:
    """What all loggers of this process share: the adapter sets it, one hook at a time."""

    def __init__(self) -> None:
        self.rank = _RANKS["info"]
        self.bound: dict[str, JsonValue] = {}
        self.lost_lines = 0


_process = _Process()


def set_level(level: str) -> None:
    """Show records from this level up: debug, info, warning (or warn), error. A logger's own level goes before it."""
    _process.rank = _rank(level)


def bind(**fields: JsonValue) -> None:
    """Add these fields to every record of the process until `unbind`; the same name again replaces its value."""
    _process.bound = {**_process.bound, **fields}


def unbind() -> None:
    """Forget all bound fields: the call is over."""
    _process.bound = {}


def lost_lines() -> int:
    """How many records could not be written since the process began: stderr closed, full disk, broken pipe."""
    return _process.lost_lines


class StructuredLogger:
    """Writes JSON lines; `self.logger` in an algorithm.

    `stream` None is whatever `sys.stderr` is at the moment of writing; `level` None follows `set_level`. A message
    longer than 8 KiB is cut in its middle; a field that is no JSON, or too long, says so in its place.
    """

    def __init__(self, stream: TextIO | None = None, level: str | None = None) -> None:
        self._stream = stream
        self._rank = None if level is None else _rank(level)

    def debug(self, message: object = "", /, *details: object, **fields: object) -> None:
        """For the developer; hidden unless the level says debug."""
        self._write("debug", message, details, fields)

    def info(self, message: object = "", /, *details: object, **fields: object) -> None:
        """For the operator: what happened."""
        self._write("info", message, details, fields)

    def warning(self, message: object = "", /, *details: object, **fields: object) -> None:
        """For the operator: what may go wrong soon."""
        self._write("warning", message, details, fields)

    def error(self, message: object = "", /, *details: object, **fields: object) -> None:
        """Somebody must act."""
        self._write("error", message, details, fields)

    def _write(self, level: str, message: object, details: tuple[object, ...], fields: dict[str, object]) -> None:
        if _RANKS[level] < (_process.rank if self._rank is None else self._rank):
            return
        try:
            record = _record(level, message, {**fields, "details": details} if details else fields)
            line = json.dumps(record, separators=(",", ":"))
            stream = sys.stderr if self._stream is None else self._stream
            stream.write(line + "\n")
            stream.flush()
        except Exception:  # noqa: BLE001 - a stream the author replaced or closed must not break an inspection
            _process.lost_lines += 1


def _record(level: str, message: object, fields: dict[str, object]) -> dict[str, JsonValue]:
    record: dict[str, JsonValue] = {
        "level": level,
        "timestamp_ms": int(time.time() * 1000),
        "message": cut(_text(message), MAX_MESSAGE_BYTES),
    }
    bound = _process.bound
    room, dropped = MAX_FIELDS_BYTES, 0
    for given_name, value in fields.items():
        name, plain = cut(given_name, MAX_NAME_BYTES), _plain(value)
        room -= encoded_bytes(name) + encoded_bytes(plain)
        if room < 0:
            dropped += 1
            continue
        record[f"field_{name}" if name in _RESERVED or name in bound else name] = plain
    if dropped:
        record["fields_dropped"] = dropped
    record.update(bound)
    return record


def _text(message: object) -> str:
    if type(message) is str:
        return message
    try:
        return str(message)
    except Exception as error:  # noqa: BLE001 - the author's __str__ is foreign code; its failure is told in the record
        return f"<{type_name(message)} whose text could not be made: {type_name(error)}>"


def _plain(value: object) -> JsonValue:
    try:
        plain = normalise(value, "field")
    except AlgorithmError as error:
        return {"unloggable": error.message}
    size = encoded_bytes(plain)
    if size > MAX_FIELD_BYTES:
        return {"unloggable": f"{size} bytes; a field holds at most {MAX_FIELD_BYTES}"}
    return plain


def _rank(level: str) -> int:
    if level not in _RANKS:
        raise ValueError(f"log level: expected one of {', '.join(_RANKS)}, got {level!a}")
    return _RANKS[level]
