"""The file of results: opened, written in groups, pruned (docs/decisions/0016). Blocking; one thread owns an Archive.

WAL with synchronous=FULL for a group that somebody waits for under `power`, NORMAL for all others: an acceptance is
not awaited, and what was not committed was not accepted.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from procvision_sdk.errors import ErrorCode, StationError
from runner.clock import wall_ms
from runner.results import schema
from runner.results.durable import sync_folder
from runner.results.rows import Accepted, Answered, Row

Sync = Literal["FULL", "NORMAL"]
# spec.md §5.13: how long a write waits for another process that holds the file.
LOCKED_S = 5.0
_WAL_KEPT_BYTES = 32 * 1024 * 1024
_VACUUM_PAGES = 32
# Room that was freed is taken by the next rows; it goes back to the disk when it is more than this part of the file.
_SPARE_PART = 16
# What SQLite makes of a full disk; the log's index reports it as a failed write.
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class StoreError(StationError):
    """The store cannot be used; the message names the file and the cause."""

    default_code = ErrorCode.STORE


def is_damage(error: Exception) -> bool:
    """Whether the file is not what SQLite wrote, so that no later try can be better."""
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _DAMAGED


def may_be_for_want_of_room(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and _primary_code(error) in _NO_ROOM


def reason_of(error: Exception) -> str:
    """One line: the name of the error and its text."""
    return f"{getattr(error, 'sqlite_errorname', type(error).__name__)}: {error}"


def _primary_code(error: sqlite3.Error) -> int:
    """The kind of an error; its details stand in the higher bits."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class Archive:
    """The writing connection. Everything raises sqlite3.Error, and then nothing of the call was kept."""

    def __init__(self, path: Path, epoch: str, limit_s: float = LOCKED_S, first_seq: int = 1) -> None:
        """Open or create the file; OSError when its folder cannot be made, StoreError for a newer version's file.

        `first_seq` is the least number for a new row: one that was given before must not come again.
        """
        self.path = path
        self._epoch = epoch
        _make_folder(path.parent)
        self._connection = sqlite3.connect(path, timeout=limit_s, isolation_level=None)
        try:
            self._prepare()
            self.next_seq = max(first_seq, 1 + self._number("SELECT max(seq) FROM results"))
            self.rows = self._number("SELECT count(*) FROM results")
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        if self._number("PRAGMA user_version") not in (0, schema.VERSION):
            raise StoreError(f"{self.path} was written by another version", hint="move it away, or update the runner")
        run("PRAGMA auto_vacuum = INCREMENTAL")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA wal_autocheckpoint = 0")
        run(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")
        run("PRAGMA synchronous = FULL")
        self._sync: Sync = "FULL"
        if not self._number("PRAGMA user_version"):
            self._connection.executescript(f"BEGIN IMMEDIATE; {schema.CREATE} COMMIT;")

    def write(self, rows: Sequence[Row], sync: Sync) -> None:
        """Commit these rows together, in their order; the last word on a row counts."""
        self._use(sync)
        latest: dict[int, Row] = {}
        for row in rows:
            place = id(_accepted(row).place)
            latest[place] = row if isinstance(row, Answered) else latest.get(place, row)
        with _Transaction(self._connection):
            for row in latest.values():
                self._put(row)
        for row in map(_accepted, latest.values()):
            self.rows += not row.place.kept
            row.place.kept = True

    def _put(self, row: Row) -> None:
        accepted = _accepted(row)
        if not accepted.place.seq:
            # Kept also when this commit fails: it may have reached the disk, and then the next try overwrites it.
            accepted.place.seq = self.next_seq
            self.next_seq += 1
        seq = accepted.place.seq
        self._connection.execute(schema.FREE_ID, (*accepted.key, seq))
        common = (accepted.pid, accepted.payload, accepted.shared_mem_id, accepted.received_at_ms, self._epoch)
        if isinstance(row, Accepted):
            self._connection.execute(schema.ACCEPT, (seq, *accepted.key, *common))
        else:
            told = (row.status, row.verdict, row.code, row.answer, zlib.crc32(row.answer), row.finished_at_ms)
            self._connection.execute(schema.ANSWER, (seq, *accepted.key, *common, *told))

    def close_open_rows(self, answer_of: Callable[[str, str], bytes]) -> int:
        """Give the open rows of earlier lives their answer, `answer_of(request_id, pid)`; how many there were."""
        with _Transaction(self._connection):
            left = self._connection.execute(schema.OPEN_ROWS, (self._epoch,)).fetchall()
            for seq, request_id, pid in left:
                answer = answer_of(request_id, pid)
                told = (str(ErrorCode.RUNNER_RESTART), answer, zlib.crc32(answer), wall_ms(), seq)
                self._connection.execute(schema.CLOSE_ROW, told)
        return len(left)

    def _use(self, sync: Sync) -> None:
        if sync != self._sync:
            self._connection.execute(f"PRAGMA synchronous = {sync}")
            self._sync = sync

    def forget_older(self, before_ms: int, most: int) -> int:
        """Delete those of the `most` oldest answered rows that lie before the first one answered since; how many."""
        first = self._connection.execute(schema.FIRST_FINISHED).fetchone()
        if first is None or first[0] >= before_ms:
            return 0
        return self._forget(schema.FORGET_OLD, (most, most, before_ms))

    def forget_oldest(self, most: int) -> int:
        """Delete the oldest answered rows; how many."""
        return self._forget(schema.FORGET_OLDEST, (most,))

    def _forget(self, statement: str, given: Iterable[int]) -> int:
        # A row that comes back after a power cut is deleted again.
        self._use("NORMAL")
        with _Transaction(self._connection):
            count = self._connection.execute(statement, tuple(given)).rowcount
        self.rows -= count
        if count and self._number("PRAGMA freelist_count") > self._number("PRAGMA page_count") // _SPARE_PART:
            self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        return count

    def used_bytes(self) -> int:
        """What the rows take; pages that were freed and not yet given back are left out."""
        pages = self._number("PRAGMA page_count") - self._number("PRAGMA freelist_count")
        return pages * self._number("PRAGMA page_size")

    def wal_bytes(self) -> int:
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return 0

    def checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file; readers and a lock make it wait for another time.

        Nothing is written meanwhile, so the next commit begins the log anew; `checkpoint.move` does not stop commits.
        """
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def note(self, key: str, value: int) -> None:
        """Remember a number; a real write, so it shows whether writing works."""
        with _Transaction(self._connection):
            self._connection.execute(schema.PUT_META, (key, value))

    def noted(self, key: str) -> int | None:
        found = self._connection.execute(schema.GET_META, (key,)).fetchone()
        return int(found[0]) if found is not None else None

    def close(self) -> None:
        self._connection.close()

    def _number(self, statement: str) -> int:
        found: int | None = self._connection.execute(statement).fetchone()[0]
        return found or 0


class _Transaction:
    """BEGIN IMMEDIATE ... COMMIT, rolled back when anything in it raises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # A full disk has rolled back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _make_folder(folder: Path) -> None:
    """Create the folder so that a power cut cannot take it away with the results in it."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(folder.parent)


def _accepted(row: Row) -> Accepted:
    return row if isinstance(row, Accepted) else row.accepted
