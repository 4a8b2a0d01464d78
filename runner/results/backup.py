"""A copy of the store beside it, made while it is written (spec.md §5.14, docs/decisions/0019). Blocking.

One snapshot of the file, copied in slices, each synced and followed by a pause, so that commits find the disk free;
checked before it takes the place of the one before. It holds answered rows only: an open one may have been answered
since, and would be told 3004 after a restore.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing, suppress
from pathlib import Path

from procvision_sdk.errors import ErrorCode, StationError
from runner.results import schema
from runner.results.damage import backup_of
from runner.results.durable import sync_file, sync_folder
from runner.results.reading import Checkup, reading

_SLICE_PAGES = 256
_PAUSE_S = 0.005


class BackupError(StationError):
    """The copy is not sound; the store itself may be."""

    default_code = ErrorCode.STORE


class _StoppedError(BaseException):
    """The runner stops; what was copied so far is of no use."""


def make(path: Path, stopping: threading.Event) -> bool:
    """Replace the backup of the store; False when it was stopped. sqlite3.Error, OSError, BackupError."""
    backup = backup_of(path)
    draft = backup.with_name(f"{backup.name}.new")
    try:
        _copy(path, draft, stopping)
        fault = Checkup(draft, stopping).run()
        if fault:
            raise BackupError(f"the backup came out damaged: {fault}", hint="see status of the station")
        sync_file(draft)
        if stopping.is_set():
            return False
        draft.replace(backup)
        sync_folder(backup.parent)
    except _StoppedError:
        return False
    finally:
        # A draft that cannot be removed now is overwritten by the next.
        with suppress(OSError):
            _remove(draft)
    return True


def _copy(path: Path, draft: Path, stopping: threading.Event) -> None:
    _remove(draft)
    # Opened before SQLite opens it and closed after: a descriptor that is closed takes the locks of a file with it.
    with (
        draft.open("wb") as file,
        reading(path) as source,
        closing(sqlite3.connect(draft, isolation_level=None)) as target,
    ):

        def paced(_status: int, _left: int, _all: int) -> None:
            # All at once at the end would keep the disk from every commit for as long as it takes.
            os.fsync(file.fileno())
            if stopping.wait(_PAUSE_S):
                raise _StoppedError

        # What is written meanwhile goes into the log and does not make the copy begin again.
        target.execute("PRAGMA synchronous = OFF")
        source.execute("BEGIN")
        source.execute(schema.COUNT_META).fetchone()
        source.backup(target, pages=_SLICE_PAGES, progress=paced)
        # One file and no log; it is synced as a whole afterwards.
        target.execute("PRAGMA journal_mode = MEMORY")
        target.execute(schema.FORGET_OPEN)


def _remove(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{draft}{suffix}").unlink(missing_ok=True)
