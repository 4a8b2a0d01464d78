"""Results read back from the file, beside its writer or without one (spec.md §4.36, §11)."""

from __future__ import annotations

import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.results import schema
from runner.results.archive import StoreError, is_damage, reason_of
from runner.results.rows import Kept, Key, Listed, Selection

# A check looks this often whether it shall end: after a few milliseconds of it.
_STEPS = 100_000


class DamagedRowError(sqlite3.DatabaseError):
    """An answer is not the one that was written."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


class Reader:
    """A reading connection. It never waits: a locked file raises sqlite3.OperationalError at once."""

    def __init__(self, path: Path) -> None:
        self._connection = _connect(path, 0.0)

    def find(self, key: Key) -> Kept | None:
        """What is held under a request_id; sqlite3.DatabaseError when the answer is not the one that was written."""
        found = self._connection.execute(schema.FIND, key).fetchone()
        if found is None:
            return None
        payload, status, answer, crc, finished_at_ms = found
        if not status:
            return Kept(payload, None, 0)
        if answer is None or zlib.crc32(answer) != crc:
            raise DamagedRowError(f"the answer to {key[1]} is not the one that was written")
        return Kept(payload, answer, finished_at_ms)

    def close(self) -> None:
        self._connection.close()


def listing(path: Path, selection: Selection) -> list[Listed]:
    """The newest rows first; StoreError (3008) when there is no file, or it cannot be read."""
    if not path.exists():
        raise StoreError(f"no results are recorded in {path}", hint="a station records when store.durability says so")
    asked = {"pid": selection.pid, "since_ms": selection.since_ms, "last": selection.last}
    try:
        with reading(path) as connection:
            return [Listed(*row) for row in connection.execute(schema.LIST, asked)]
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read: {reason_of(error)}", hint="see status of the station") from None


class Checkup:
    """SQLite's own check of a whole file, and of each answer, beside its use; a few seconds for each gigabyte."""

    def __init__(self, path: Path, stopping: threading.Event | None = None) -> None:
        self._path = path
        self._stopping = stopping or threading.Event()

    def run(self) -> str:
        """The first damage, "" when there is none or `stopping` was set meanwhile.

        Found twice: SQLite tells a page that could not be read once as it tells a damaged one.
        """
        return self._look() and self._look()

    def _look(self) -> str:
        try:
            with reading(self._path) as connection:
                connection.set_progress_handler(self._stopping.is_set, _STEPS)
                told: str = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if told != "ok":
                    return told
                connection.create_function("crc32", 1, zlib.crc32, deterministic=True)
                wrong = connection.execute(schema.DAMAGED_ANSWERS).fetchone()
                return "" if wrong is None else f"the answer to {wrong[0]} is not the one that was written"
        except sqlite3.Error as error:
            return reason_of(error) if is_damage(error) else ""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A reading connection for a while, which waits a second for a locked file."""
    connection = _connect(path, 1.0)
    try:
        yield connection
    finally:
        connection.close()


def _connect(path: Path, timeout_s: float) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)
