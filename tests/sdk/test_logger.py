"""StructuredLogger: one JSON line per record, bound fields, and never an exception (spec.md §12)."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
import pytest

from procvision_sdk import logger as module
from procvision_sdk.logger import StructuredLogger, bind, lost_lines, set_level, unbind


class Unprintable:
    def __repr__(self) -> NoReturn:
        raise RuntimeError("the author's code ran")

    __str__ = __repr__


class Broken(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def fresh_process_state() -> Iterator[None]:
    yield
    unbind()
    set_level("info")


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_json_line_with_level_time_message_and_fields() -> None:
    stream = io.StringIO()
    before_ms = int(time.time() * 1000)
    StructuredLogger(stream).info("setup", model_version="spot-1", shape=np.array([2, 3]))
    (record,) = written(stream)
    assert stream.getvalue().endswith("}\n")
    assert before_ms <= record.pop("timestamp_ms") <= int(time.time() * 1000)
    assert record == {"level": "info", "message": "setup", "model_version": "spot-1", "shape": [2, 3]}


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("warn", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_a_level_hides_what_lies_below(level: str, shown: list[str]) -> None:
    own, of_process = io.StringIO(), io.StringIO()
    loggers = [StructuredLogger(own, level), StructuredLogger(of_process)]
    set_level(level)
    for logger in loggers:
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)("m")
    assert [record["level"] for record in written(own)] == shown
    assert [record["level"] for record in written(of_process)] == shown


@pytest.mark.parametrize("ask", [set_level, lambda level: StructuredLogger(None, level)])
def test_an_unknown_level_is_refused_where_it_is_set(ask: Any) -> None:
    with pytest.raises(ValueError, match="log level: expected one of debug, info, warning, warn, error, got 'loud'"):
        ask("loud")


def test_bound_fields_are_in_every_record_until_unbind() -> None:
    stream = io.StringIO()
    logger = StructuredLogger(stream)
    bind(pid="A01", step_index=1)
    bind(step_index=2)
    logger.info("one")
    unbind()
    logger.info("two")
    first, second = written(stream)
    assert (first["pid"], first["step_index"]) == ("A01", 2)
    assert set(second) == {"level", "timestamp_ms", "message"}


def test_an_author_cannot_pass_a_field_off_as_the_adapters() -> None:
    stream = io.StringIO()
    bind(pid="A01")
    StructuredLogger(stream).warning("real", message="fake", level="fake", timestamp_ms=0, pid="fake")
    (record,) = written(stream)
    assert (record["message"], record["level"], record["pid"]) == ("real", "warning", "A01")
    assert (record["field_message"], record["field_level"]) == ("fake", "fake")
    assert (record["field_timestamp_ms"], record["field_pid"]) == (0, "fake")


def test_control_characters_can_neither_forge_a_record_nor_reach_a_terminal() -> None:
    stream = io.StringIO()
    nasty = '\x1b[31mred\n{"level":"error"}\r\x00\x7f\x9b2J\u2028坏\ud800'
    StructuredLogger(stream).info(nasty, note=nasty[:-1])
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert all(" " <= character <= "~" for character in text[:-1])
    (record,) = written(stream)
    assert record["note"] == nasty[:-1]
    assert record["message"] == nasty[:-1] + "\\ud800"


def test_a_long_message_is_cut_in_its_middle() -> None:
    stream = io.StringIO()
    StructuredLogger(stream).info("begin" + "x" * 100_000 + "end")
    message = written(stream)[0]["message"]
    assert len(message) <= 8192
    assert message.startswith("begin")
    assert message.endswith("end")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "field: expected a finite number, got nan"),
        (Unprintable(), "field: expected a JSON value, got Unprintable"),
        ("x" * 9000, "9002 bytes; a field holds at most 8192"),
    ],
)
def test_a_field_that_cannot_be_logged_says_so_in_its_place(value: object, reason: str) -> None:
    stream = io.StringIO()
    StructuredLogger(stream).info("m", value=value)
    assert written(stream)[0]["value"] == {"unloggable": reason}


def test_fields_beyond_a_line_are_counted() -> None:
    stream = io.StringIO()
    StructuredLogger(stream).info("m", **{f"f{n}": "x" * 8000 for n in range(6)}, fields_dropped=7)
    record = written(stream)[0]
    assert sorted(set(record) - {"level", "timestamp_ms", "message"}) == ["f0", "f1", "f2", "f3", "fields_dropped"]
    assert record["fields_dropped"] == 3


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (ValueError("bad part"), "bad part"),
        (7, "7"),
        (None, "None"),
        (Unprintable(), "<Unprintable whose text could not be made: RuntimeError>"),
    ],
)
def test_a_message_of_any_kind_is_written(message: object, text: str) -> None:
    stream = io.StringIO()
    StructuredLogger(stream).error(message)
    assert written(stream)[0]["message"] == text


def test_a_call_in_the_style_of_logging_keeps_its_arguments() -> None:
    stream = io.StringIO()
    logger = StructuredLogger(stream)
    logger.info("found %d", 3)
    logger.info()
    first, second = written(stream)
    assert (first["message"], first["details"]) == ("found %d", [3])
    assert second["message"] == ""


def test_a_stream_that_cannot_be_written_costs_the_record_only() -> None:
    closed = io.StringIO()
    closed.close()
    before = lost_lines()
    for stream in (closed, Broken()):
        StructuredLogger(stream).error("m")
    assert lost_lines() == before + 2


def test_without_a_stream_it_writes_to_what_stderr_is_at_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = StructuredLogger()
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stderr", replaced)
    logger.info("m")
    assert written(replaced)[0]["message"] == "m"
    before = lost_lines()
    monkeypatch.setattr(sys, "stderr", None)
    logger.info("m")
    assert lost_lines() == before + 1


def test_names_of_fields_are_bounded_and_encodable() -> None:
    stream = io.StringIO()
    StructuredLogger(stream).info("m", **{"k" * 1000: 1, "\ud800": 2})
    record = written(stream)[0]
    assert record["\\ud800"] == 2
    assert max(map(len, record)) <= module.MAX_NAME_BYTES
