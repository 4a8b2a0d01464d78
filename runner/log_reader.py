"""Reads the station's log back: the newest records, and those that still come (spec.md §11.20).

The runner rotates its log by size; a reader goes on in the new file. A line that is no record is shown as text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from runner.clock import pause_s
from runner.dev.log_lines import printable

FILE = "runner.log"
_LOOK_AGAIN_S = 0.25
_PLACED = ("timestamp_ms", "level", "source", "worker", "pid", "message", "at_ms")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of a product, and of a worker named whole, by deployment, or by `deployment#seat`."""

    pid: str | None = None
    worker: str | None = None

    def takes(self, record: dict[str, Any]) -> bool:
        if self.pid is not None and record.get("pid") != self.pid:
            return False
        if self.worker is None:
            return True
        named = str(record.get("worker", ""))
        return named == self.worker or named.startswith((f"{self.worker}#", f"{self.worker}."))


def newest(folder: Path, wanted: Wanted, last: int) -> list[dict[str, Any]]:
    """At most `last` records, in the order of time, the rotated files included."""
    found: list[dict[str, Any]] = []
    for path in _files(folder):
        if len(found) >= last:
            break
        try:
            text = path.read_bytes()
        except OSError:  # rotated away between the listing and now
            continue
        found = [*_wanted(text.splitlines(), wanted), *found]
    return found[-last:] if last else []


def follow(folder: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Records from now on, for ever, through rotation and a file that is taken away; blocks between them."""
    tail = _Tail(folder / FILE)
    try:
        while True:
            lines = tail.lines()
            yield from _wanted(lines, wanted)
            if not lines:
                pause_s(_LOOK_AGAIN_S)
    finally:
        tail.close()


class _Tail:
    """What is appended to the file of a name from now on, whichever file has that name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = _opened(path)
        self._rest = b""
        if self._reading is not None:
            self._reading.seek(0, os.SEEK_END)

    def lines(self) -> list[bytes]:
        """The lines that have been finished since the last time; of an old file all, before those of the new one."""
        data = self._read()
        if not data and not self._is_current():
            self.close()
            self._reading = _opened(self._path)
            data = self._read()
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()

    def _read(self) -> bytes:
        return self._reading.read() if self._reading is not None else b""

    def _is_current(self) -> bool:
        """Whether what is read is still the file of this name, and was not cut."""
        if self._reading is None:
            return False
        try:
            named = self._path.stat()
        except OSError:
            return True  # away, or between two files: what is open may still grow
        own = os.fstat(self._reading.fileno())
        return os.path.samestat(named, own) and own.st_size >= self._reading.tell()


def line_of(record: dict[str, Any]) -> str:
    """A record as one line for people, without anything that steers a terminal."""
    at_ms = record.get("timestamp_ms")
    time = datetime.fromtimestamp(at_ms / 1000).isoformat(" ", "milliseconds") if isinstance(at_ms, int) else "-"
    level = str(record.get("level", "-"))
    words = [str(record[key]) for key in ("worker", "pid", "message") if key in record]
    words += [f"{key}={value}" for key, value in record.items() if key not in _PLACED]
    return printable(f"{time} {level:7} {' '.join(words)}").replace("\n", "\\n")


def _files(folder: Path) -> list[Path]:
    """The log's files, the newest first: runner.log, runner.log.1, runner.log.2 ..."""
    rotated = [path for path in folder.glob(f"{FILE}.*") if path.suffix[1:].isdecimal()]
    return [folder / FILE, *sorted(rotated, key=lambda path: int(path.suffix[1:]))]


def _wanted(lines: Iterable[bytes], wanted: Wanted) -> Iterator[dict[str, Any]]:
    return (record for record in map(_record, lines) if record and wanted.takes(record))


def _record(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8", "backslashreplace").strip()
    if not text:
        return {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {"message": text}
    return record if isinstance(record, dict) else {"message": text}


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except OSError:
        return None
