"""The file behind the registry: its tables, its transactions, and the chain that its audit rows form (spec.md §10).

Each audit row carries the SHA-256 of itself and the row before: a row that was changed, taken out or put in breaks the
chain from there on.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, StationError
from runner.clock import wall_ms

_BUSY_S = 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS installed (
    name TEXT, version TEXT, digest TEXT NOT NULL, tree TEXT NOT NULL, pids TEXT NOT NULL, signed_by TEXT NOT NULL,
    at_ms INTEGER NOT NULL, who TEXT NOT NULL, PRIMARY KEY (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS active (
    pid TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL,
    FOREIGN KEY (name, version) REFERENCES installed (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS previous (
    pid TEXT, depth INTEGER, name TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (pid, depth),
    FOREIGN KEY (name, version) REFERENCES installed (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS floors (name TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS trusted (
    key_id TEXT PRIMARY KEY, pem BLOB NOT NULL, at_ms INTEGER NOT NULL, who TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS audit (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL, operation TEXT NOT NULL, subject TEXT NOT NULL,
    digest TEXT NOT NULL, outcome TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
"""
_AUDIT = "SELECT seq, at_ms, who, operation, subject, digest, outcome, hash FROM audit ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did or tried: `outcome` is `started`, `done`, or the code and message of the refusal."""

    who: str
    operation: str
    subject: str
    digest: str = ""
    outcome: str = "done"


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A deed as it was written down; `hash` chains it to the one before."""

    seq: int
    at_ms: int
    who: str
    operation: str
    subject: str
    digest: str
    outcome: str
    hash: str

    def chained(self, before: str) -> str:
        """What `hash` must be."""
        told = {**asdict(self), "hash": before}
        return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Ledger:
    """One file; a connection for each use, so that threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One unchanging view. StationError (3008) when the file cannot be used."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, on the disk, when the block ends well; nothing of it otherwise."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            fresh = not self.path.exists()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            if fresh or not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            yield connection
        except sqlite3.Error as error:
            raise StationError(
                f"{self.path} cannot be used: {error}",
                hint="free disk space, or mend the rights of the station folder; the message says which",
                code=ErrorCode.STORE,
            ) from None
        finally:
            if connection is not None:
                connection.close()

    def note(self, deed: Deed) -> None:
        """Write down a deed that changes nothing else."""
        with self.changing() as connection:
            write_down(connection, deed)

    def deeds(self) -> list[AuditRow]:
        """Everything that was written down, in order."""
        with self.reading() as connection:
            return [AuditRow(*row) for row in connection.execute(_AUDIT)]


def write_down(connection: sqlite3.Connection, deed: Deed) -> None:
    """Add a deed to the chain, in the transaction that is open."""
    last = connection.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone() or (0, "")
    fields = (deed.who, deed.operation, deed.subject, deed.digest, deed.outcome[:2000])
    row = AuditRow(last[0] + 1, wall_ms(), *fields, "")
    values = (row.seq, row.at_ms, *fields, row.chained(last[1]))
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def first_break(deeds: list[AuditRow]) -> int:
    """The number of the first row that does not follow from the one before; 0 when the chain is whole."""
    before, expected = "", 1
    for row in deeds:
        if row.seq != expected or row.chained(before) != row.hash:
            return expected
        before, expected = row.hash, expected + 1
    return 0
