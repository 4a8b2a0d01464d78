"""Log records of the runner, and what its workers write to stderr as records tagged with their call (spec.md §12).

A worker's pipe is always drained; what goes on to the log passes a budget, and what the budget holds back is counted.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from runner.clock import monotonic_s, wall_ms
from runner.config import LogConfig

# reliability.md D7: a flood of stderr must neither block the worker nor fill the disk.
BUDGET_BYTES_PER_S = 65_536
BURST_BYTES = 1_048_576
MAX_LINE_BYTES = 65_536

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


def configure(config: LogConfig, folder: Path | None) -> None:
    """Send the logs to `folder`/runner.log (rotated by size), without one to stderr. A failing log stops nothing."""
    logging.raiseExceptions = False
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            folder / "runner.log", maxBytes=config.max_bytes, backupCount=config.files, encoding="utf-8"
        )
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("procvision")
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(config.level.upper())
    root.propagate = False


def close() -> None:
    """Flush and close what `configure` opened."""
    root = logging.getLogger("procvision")
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()


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
        if len(line) > self._budget:
            self.suppressed_bytes += len(line)
            return
        self._budget -= len(line)
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
