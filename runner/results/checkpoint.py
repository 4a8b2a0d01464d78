"""The log of the store is moved into its file beside the commits (docs/decisions/0038). Blocking."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def move(path: Path) -> int:
    """Move what the log holds now; how many pages it has had since it began. sqlite3.Error.

    The first commit that finds all of it moved begins it anew. One that comes during the move is not in it, so a log
    that is written without a pause goes on growing until its writer moves the rest.

    The file must not be renamed meanwhile: a connection that is the last to close removes the log by its name, which
    may belong to another file by then.
    """
    uri = f"{path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None)) as connection:
        pages: int = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return pages
