"""What workers write to stderr, as records of the runner's log: tagged, bounded, counted (spec.md §12)."""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner import logs
from runner.config import LogConfig
from runner.logs import BUDGET_BYTES_PER_S, BURST_BYTES, MAX_LINE_BYTES, JsonFormatter, WorkerLog, runner_log

CALL = {"request_id": "r1", "session_id": "s1", "trace_id": None}


class Clock:
    """The clock of the budget; only a test moves it."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Kept(logging.Handler):
    """Each record as the document that a log file would hold."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[dict[str, Any]] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(json.loads(self.format(record)))

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]


@pytest.fixture(autouse=True)
def log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `configure` changes is as before after the test."""
    root = logging.getLogger("procvision")
    monkeypatch.setattr(logging, "raiseExceptions", logging.raiseExceptions)
    level, propagate = root.level, root.propagate
    yield
    logs.close()
    root.setLevel(level)
    root.propagate = propagate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    by_hand = Clock()
    monkeypatch.setattr(logs, "monotonic_s", by_hand)
    return by_hand


@pytest.fixture
def kept() -> Iterator[Kept]:
    root, handler = logging.getLogger("procvision"), Kept()
    root.addHandler(handler)
    root.setLevel("DEBUG")
    root.propagate = False
    yield handler
    root.removeHandler(handler)


def test_a_line_of_text_is_a_record_tagged_with_its_worker_and_call(kept: Kept) -> None:
    WorkerLog("detector#0.3").feed(b"hello\n", CALL)
    (record,) = kept.records
    assert record.pop("timestamp_ms") > 0
    assert record == {
        "level": "info",
        "source": "worker",
        "message": "hello",
        "worker": "detector#0.3",
        "request_id": "r1",
        "session_id": "s1",
    }


def test_a_record_of_the_algorithm_keeps_its_level_time_and_fields(kept: Kept) -> None:
    line = {"level": "warning", "timestamp_ms": 7, "message": "dark", "mean": 3.5, "request_id": "its own"}
    WorkerLog("w").feed(json.dumps(line).encode() + b"\r\n", CALL)
    (record,) = kept.records
    assert (record["level"], record["message"], record["mean"], record["at_ms"]) == ("warning", "dark", 3.5, 7)
    assert (record["worker"], record["request_id"], record["session_id"]) == ("w", "its own", "s1")


def test_a_record_cannot_pretend_to_be_of_somebody_else(kept: Kept) -> None:
    line = {"level": "info", "message": "m", "source": "runner", "worker": "other", "traceback": "t"}
    WorkerLog("w").feed(json.dumps(line).encode() + b"\n", {})
    assert (kept.records[0]["source"], kept.records[0]["worker"]) == ("worker", "w")
    runner_log.info("m", extra={"fields": {"level": "error", "source": "x", "message": "y", "timestamp_ms": -1}})
    assert (kept.records[1]["level"], kept.records[1]["source"], kept.records[1]["message"]) == ("info", "runner", "m")
    assert kept.records[1]["timestamp_ms"] > 0


@pytest.mark.parametrize(
    "line",
    [
        '{"level": "info", "message": ',
        '{"message": "no level"}',
        '{"level": "info"}',
        '{"level": "info", "message": 3}',
        "[1, 2]",
        "{}",
        '{"level": "info", "message": "m", "deep": ' + "[" * 30_000,
    ],
    ids=lambda line: str(line)[:30],
)
def test_a_line_that_is_no_record_is_kept_as_text(kept: Kept, line: str) -> None:
    WorkerLog("w").feed(line.encode() + b"\n", {})
    assert [(record["level"], record["message"]) for record in kept.records] == [("info", line)]


@pytest.mark.parametrize(("level", "kept_as"), [("debug", "debug"), ("ERROR", "error"), ("loud", "info"), (3, "info")])
def test_a_level_that_is_none_counts_as_info(kept: Kept, level: object, kept_as: str) -> None:
    WorkerLog("w").feed(json.dumps({"level": level, "message": "m"}).encode() + b"\n", {})
    assert kept.records[0]["level"] == kept_as


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_come_out_whole_however_the_pipe_cuts_them(kept: Kept, size: int) -> None:
    log = WorkerLog("w")
    data = 'first\n\n{"level": "info", "message": "zwölf"}\nlast without end'.encode()
    for start in range(0, len(data), size):
        log.feed(data[start : start + size], {})
    assert kept.messages == ["first", "zwölf"]
    log.close()
    log.close()
    assert kept.messages == ["first", "zwölf", "last without end"]


def test_bytes_that_are_no_text_and_terminal_sequences_are_escaped(kept: Kept, tmp_path: Path) -> None:
    WorkerLog("w").feed(b"\xff\x00\x1b[31mred\n", {})
    assert kept.messages == ["\\xff\x00\x1b[31mred"]
    logs.configure(LogConfig(), tmp_path)
    WorkerLog("w").feed(b"\xff\x00\x1b[31mred\n", {})
    written = (tmp_path / "runner.log").read_bytes()
    assert b"\\u001b[31mred" in written
    assert not set(written) & set(range(0x20)) - {0x0A}


def test_a_line_without_an_end_is_passed_on_in_pieces_and_never_piles_up(kept: Kept) -> None:
    log = WorkerLog("w")
    for _ in range(20):
        log.feed(b"x" * 10_000, {})
    assert [len(message) for message in kept.messages] == [MAX_LINE_BYTES] * 3
    log.close()
    assert "".join(kept.messages) == "x" * 200_000
    assert log.suppressed_bytes == 0


def test_a_huge_line_is_several_records_and_nothing_of_it_is_lost(kept: Kept) -> None:
    log = WorkerLog("w")
    log.feed(b"x" * (2 * MAX_LINE_BYTES + 1000) + b"\nnext\n", {})
    assert kept.messages == ["x" * MAX_LINE_BYTES, "x" * MAX_LINE_BYTES, "x" * 1000, "next"]
    assert log.suppressed_bytes == 0


def test_a_flood_is_held_back_and_counted_and_what_comes_after_it_is_heard(kept: Kept, clock: Clock) -> None:
    log = WorkerLog("w")
    line = b"x" * 1023 + b"\n"
    for _ in range(2000):
        log.feed(line, {})
    passed = len(kept.messages)
    assert passed == BURST_BYTES // (1023 + logs.RECORD_BYTES)
    assert log.suppressed_bytes == (2000 - passed) * 1023
    clock.now_s += 0.1
    log.feed(b"calm again\n", {})
    assert kept.messages[passed:] == [f"{log.suppressed_bytes} bytes of log suppressed", "calm again"]
    told = kept.records[-2]
    assert (told["level"], told["worker"]) == ("warning", "w")
    log.feed(b"told once\n", {})
    assert kept.messages[passed + 2 :] == ["told once"]


def test_the_budget_grows_with_time_up_to_one_burst(kept: Kept, clock: Clock) -> None:
    log = WorkerLog("w")
    line = b"x" * (65_536 - logs.RECORD_BYTES) + b"\n"
    for _ in range(100):
        log.feed(line, {})
    before = len(kept.messages)
    clock.now_s += 1.0
    log.feed(line * 3, {})
    assert len(kept.messages) - before == 1 + BUDGET_BYTES_PER_S // 65_536
    clock.now_s += 1_000_000.0
    before = len(kept.messages)
    log.feed(line * 100, {})
    assert len(kept.messages) - before == 1 + BURST_BYTES // 65_536


def test_a_worker_that_dies_in_its_flood_has_its_loss_told(kept: Kept, clock: Clock) -> None:
    log = WorkerLog("w")
    for _ in range(20):
        log.feed(b"x" * 65_535 + b"\n", {})
    assert log.suppressed_bytes > 0
    assert clock.now_s == 1000.0
    log.close()
    assert kept.messages[-1] == f"{log.suppressed_bytes} bytes of log suppressed"
    log.close()
    assert kept.messages.count(kept.messages[-1]) == 1


def test_an_exception_is_written_with_its_traceback(kept: Kept) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        runner_log.exception("it broke", extra={"fields": {"path": Path("/x"), "request_id": "r"}})
    (record,) = kept.records
    assert record["traceback"].endswith("ValueError: broken")
    assert (record["level"], record["source"], record["path"]) == ("error", "runner", "/x")


def test_the_log_is_rotated_by_size_and_old_files_go(tmp_path: Path) -> None:
    logs.configure(LogConfig(max_bytes=65_536, files=2, level="warning"), tmp_path / "logs")
    for _ in range(10):
        runner_log.warning("x" * 40_000)
        runner_log.info("not kept")
    logs.close()
    found = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert found == ["runner.log", "runner.log.1", "runner.log.2"]
    assert all("not kept" not in path.read_text("utf-8") for path in (tmp_path / "logs").iterdir())


def test_a_log_configured_again_writes_each_record_once(tmp_path: Path) -> None:
    for _ in range(3):
        logs.configure(LogConfig(), tmp_path)
    runner_log.warning("once")
    assert len((tmp_path / "runner.log").read_text("utf-8").splitlines()) == 1


def test_a_log_that_cannot_be_written_stops_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(), None)
    handler = logging.getLogger("procvision").handlers[0]
    assert isinstance(handler, logging.StreamHandler)

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, f"No space left on device for {len(text)} characters")

    handler.setStream(Full())
    runner_log.warning("into the full disk")
    assert capsys.readouterr().err == ""


def test_without_a_folder_records_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogConfig(), None)
    runner_log.warning("%d products", 3)
    captured = capsys.readouterr()
    assert json.loads(captured.err)["message"] == "3 products"
    assert captured.out == ""


@pytest.mark.parametrize("how", ["deleted", "moved away", "folder deleted"])
def test_a_log_that_others_take_away_is_made_anew(tmp_path: Path, how: str) -> None:
    path = tmp_path / "logs" / "runner.log"
    logs.configure(LogConfig(), path.parent)
    runner_log.warning("before")
    match how:
        case "deleted":
            path.unlink()
        case "moved away":
            path.rename(path.with_name("runner.log-20260101"))
        case "folder deleted":
            shutil.rmtree(path.parent)
    runner_log.warning("after")
    assert [json.loads(line)["message"] for line in path.read_text("utf-8").splitlines()] == ["after"]
    assert logs.lost_records() == 0


def test_records_that_cannot_be_written_are_counted_and_those_after_them_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.write_text("in the way", "utf-8")
    logs.configure(LogConfig(), folder)
    for _ in range(2):
        runner_log.warning("lost")
    assert logs.lost_records() == 2
    folder.unlink()
    runner_log.warning("kept")
    assert "kept" in (folder / "runner.log").read_text("utf-8")
    assert logs.lost_records() == 2


def test_text_that_has_no_utf8_is_written_all_the_same(tmp_path: Path) -> None:
    logs.configure(LogConfig(), tmp_path)
    runner_log.warning("half a pair: \ud800")
    assert json.loads((tmp_path / "runner.log").read_text("ascii"))["message"] == "half a pair: \ud800"
