"""Log records of the runner, and what its workers write to stderr as records tagged with their call (spec.md §12).

A worker's pipe is always drained; what goes on to the log passes a budget, and what the budget holds back is counted.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from procvision_sdk.wire.calls import Call
from runner.clock import monotonic_s, wall_ms
from runner.config import LogConfig

# A flood of stderr must neither block the worker nor fill the disk.
BUDGET_BYTES_PER_S = 65_536
BURST_BYTES = 1_048_576
MAX_LINE_BYTES = 65_536
# What a record adds to its line; a flood of short lines would otherwise be many times its size on the disk.
RECORD_BYTES = 200

runner_log = logging.getLogger("procvision.runner")
worker_log = logging.getLogger("procvision.worker")


class JsonFormatter(logging.Formatter):
    """One JSON object per line: level, timestamp_ms, source, message, then the record's own fields of other names."""

    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        own = {
            "level": record.levelname.lower(),
            "timestamp_ms": int(record.created * 1000),
            "source": record.name.removeprefix("procvision."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            own["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**own, **fields, **own}, default=str)


class StationLog(RotatingFileHandler):
    """runner.log, rotated by size. Deleted or moved away by others, it is made anew; what cannot be written is counted.

    Neither a full disk nor a folder without the right to write reaches whoever logs (faults B5, B19).
    """

    def __init__(self, path: Path, config: LogConfig) -> None:
        self.lost_records = 0
        super().__init__(
            path,
            maxBytes=config.max_bytes,
            backupCount=config.files,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._reopen_if_gone()
        except OSError:
            self.handleError(record)
            return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own hook
        """A record is lost; the next one tries anew."""
        self.lost_records += 1

    def _reopen_if_gone(self) -> None:
        path = Path(self.baseFilename)
        try:
            named = path.stat()
        except FileNotFoundError:
            named = None
        if self.stream is not None and named is not None and os.path.samestat(named, os.fstat(self.stream.fileno())):
            return
        if self.stream is not None:
            self.stream.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.stream = self._open()


def configure(config: LogConfig, folder: Path | None) -> None:
    """Send the logs to `folder`/runner.log (rotated by size), without one to stderr. A failing log stops nothing."""
    logging.raiseExceptions = False
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if folder is not None:
        handler = StationLog(folder / "runner.log", config)
    handler.setFormatter(JsonFormatter())
    close()
    for root in _roots():
        root.addHandler(handler)
        root.propagate = False
    logging.getLogger("procvision").setLevel(config.level.upper())


def _roots() -> tuple[logging.Logger, ...]:
    """Ours, and that of the event loop: it tells of faults in what it calls back."""
    return logging.getLogger("procvision"), logging.getLogger("asyncio")


def close() -> None:
    """Flush and close what `configure` opened."""
    for root in _roots():
        for handler in list(root.handlers):
            root.removeHandler(handler)
            handler.close()


def lost_records() -> int:
    """How many records could not be written since `configure`."""
    handlers = logging.getLogger("procvision").handlers
    return sum(one.lost_records for one in handlers if isinstance(one, StationLog))


class WorkerLog:
    """The stderr of one worker, cut into lines of MAX_LINE_BYTES or less and passed on within the budget."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._rest = b""
        self._budget = float(BURST_BYTES)
        self._filled_at_s = monotonic_s()
        self.suppressed_bytes = 0
        self._told_bytes = 0

    def feed(self, data: bytes, call: Mapping[str, str | None]) -> None:
        """Take what came from the pipe; `call` tags lines that are not records of their own."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        whole = len(self._rest) // MAX_LINE_BYTES * MAX_LINE_BYTES
        lines.append(self._rest[:whole])
        self._rest = self._rest[whole:]
        for line in lines:
            for start in range(0, len(line), MAX_LINE_BYTES):
                self._pass_on(line[start : start + MAX_LINE_BYTES], call)

    def close(self) -> None:
        """The worker is gone: its last line may have had no end."""
        if self._rest:
            self._pass_on(self._rest, {})
            self._rest = b""
        self._tell_suppressed()

    def _pass_on(self, line: bytes, call: Mapping[str, str | None]) -> None:
        now_s = monotonic_s()
        self._budget = min(BURST_BYTES, self._budget + (now_s - self._filled_at_s) * BUDGET_BYTES_PER_S)
        self._filled_at_s = now_s
        if len(line) + RECORD_BYTES > self._budget:
            self.suppressed_bytes += len(line)
            return
        self._budget -= len(line) + RECORD_BYTES
        self._tell_suppressed()
        level, message, fields = _record(line)
        tags = {key: value for key, value in call.items() if value}
        worker_log.log(level, "%s", message, extra={"fields": {**tags, **fields, "worker": self._worker}})

    def _tell_suppressed(self) -> None:
        if self.suppressed_bytes > self._told_bytes:
            worker_log.warning(
                "%d bytes of log suppressed",
                self.suppressed_bytes - self._told_bytes,
                extra={"fields": {"worker": self._worker}},
            )
            self._told_bytes = self.suppressed_bytes


def _record(line: bytes) -> tuple[int, str, dict[str, Any]]:
    """Level, message and fields of a line: a StructuredLogger's record, or any other text."""
    text = line.decode("utf-8", "backslashreplace").rstrip("\r")
    if text.startswith("{"):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            return logging.INFO, text, {}
        if isinstance(record, dict) and isinstance(record.get("message"), str) and "level" in record:
            level = logging.getLevelNamesMapping().get(str(record.pop("level")).upper(), logging.INFO)
            return level, record.pop("message"), {"at_ms": record.pop("timestamp_ms", wall_ms()), **record}
    return logging.INFO, text, {}


class WorkerLogs:
    """The logs of all workers that live."""

    def __init__(self) -> None:
        self._open: dict[str, WorkerLog] = {}

    def feed(self, worker: str, data: bytes, call: Call | None) -> None:
        """Take in what a worker wrote to its standard error, during `call` if there is one."""
        log = self._open.setdefault(worker, WorkerLog(worker))
        log.feed(data, {"request_id": call.request_id, "session_id": call.session.id} if call is not None else {})

    def close(self, worker: str) -> None:
        """It has ended."""
        log = self._open.pop(worker, None)
        if log is not None:
            log.close()
