"""What is installed, which version serves each product, and how it came to that (spec.md §10).

    activate    current -> previous[0], the new one becomes current
    rollback    previous[0] (or --to one of them) becomes current; what was current is forgotten

Every change is one transaction with its audit row. An installed version is a complete folder and a row here.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from procvision_sdk.errors import ErrorCode, PackageError, StationError
from runner.clock import wall_ms
from runner.packages.ledger import Deed, Ledger, write_down
from runner.packages.places import Places
from runner.packages.policy import is_older
from runner.packages.tree import Look, differences

# How many versions before the active one are remembered per product.
KEPT_PREVIOUS = 3
_INSTALLED = "SELECT name, version, digest, tree, pids, signed_by, at_ms, who FROM installed"


@dataclass(frozen=True, slots=True)
class Installed:
    """One version on this station. `tree_sha256` is that of the list of its files."""

    name: str
    version: str
    digest: str
    tree_sha256: str
    pids: tuple[str, ...]
    signed_by: str
    at_ms: int
    who: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Active:
    """Which version serves a product, and the ones before it, the newest first."""

    pid: str
    name: str
    version: str
    at_ms: int
    who: str
    previous: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class Registry:
    """The station's packages. May be used from any thread and process; each call stands alone."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.ledger = Ledger(places.registry)

    def installed(self) -> tuple[Installed, ...]:
        with self.ledger.reading() as connection:
            return tuple(map(_installed, connection.execute(f"{_INSTALLED} ORDER BY name, at_ms")))

    def find(self, label: str) -> Installed:
        """The version NAME@VERSION; PackageError 2006 lists what is installed."""
        with self.ledger.reading() as connection:
            return _find(connection, label)

    def active(self) -> tuple[Active, ...]:
        with self.ledger.reading() as connection:
            rows = connection.execute("SELECT pid, name, version, at_ms, who FROM active ORDER BY pid").fetchall()
            return tuple(_active(row, _previous(connection, row[0])) for row in rows)

    def floors(self) -> dict[str, str]:
        """The version of each package that nothing older is installed than."""
        with self.ledger.reading() as connection:
            return dict(connection.execute("SELECT name, version FROM floors"))

    def folder(self, one: Installed) -> Path:
        return self.places.of(one.name, one.version, one.digest)

    def add(self, one: Installed, operation: str) -> None:
        """Enter a version whose folder is complete."""
        row = (one.name, one.version, one.digest, one.tree_sha256, json.dumps(one.pids), one.signed_by)
        with self.ledger.changing() as connection:
            insert = "INSERT OR REPLACE INTO installed VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            connection.execute(insert, (*row, one.at_ms, one.who))
            write_down(connection, Deed(one.who, operation, str(one), one.digest))

    def renew(self, one: Installed, tree_sha256: str, who: str) -> None:
        """The files of a version were made anew."""
        with self.ledger.changing() as connection:
            key = (tree_sha256, one.name, one.version)
            connection.execute("UPDATE installed SET tree = ? WHERE name = ? AND version = ?", key)
            write_down(connection, Deed(who, "rebuild", str(one), one.digest))

    def may_activate(self, pid: str, label: str) -> Installed:
        """The version, which may serve this product; PackageError: 2006 not there or not for it, 2009 changed, 2011
        older. Changes nothing.
        """
        with self.ledger.reading() as connection:
            one = _activated(connection, pid, label)
        self._check_whole(one)
        return one

    def activate(self, pid: str, label: str, who: str) -> Active:
        """Let NAME@VERSION serve a product; refused as by `may_activate`."""
        self.may_activate(pid, label)
        return self.enter_activation(pid, label, who)

    def enter_activation(self, pid: str, label: str, who: str) -> Active:
        """The transaction alone, for a version whose files `may_activate` compared."""
        with self.ledger.changing() as connection:
            one = _activated(connection, pid, label)
            current = _current(connection, pid)
            if current != (one.name, one.version):
                before = [current, *_previous_rows(connection, pid)] if current else []
                _set(connection, pid, one, who)
                _remember(connection, pid, [row for row in before if row != (one.name, one.version)])
            connection.execute("INSERT OR REPLACE INTO floors VALUES (?, ?)", (one.name, one.version))
            write_down(connection, Deed(who, "activate", f"{pid} {one}", one.digest))
        return self._active(pid)

    def may_roll_back(self, pid: str, to: str | None) -> Installed:
        """The version before, or the one named of those remembered; PackageError 2006 or 2009. Changes nothing."""
        with self.ledger.reading() as connection:
            one = _find(connection, _rollback_target(connection, pid, to))
        self._check_whole(one)
        return one

    def rollback(self, pid: str, to: str | None, who: str) -> Active:
        """Let an earlier version serve a product again; refused as by `may_roll_back`."""
        return self.enter_rollback(pid, str(self.may_roll_back(pid, to)), who)

    def enter_rollback(self, pid: str, to: str, who: str, why: str = "") -> Active:
        """The transaction alone, for a version whose files are as they were installed; `why` goes into the audit."""
        with self.ledger.changing() as connection:
            one = _find(connection, _rollback_target(connection, pid, to))
            rows = _previous_rows(connection, pid)
            _set(connection, pid, one, who)
            _remember(connection, pid, rows[rows.index((one.name, one.version)) + 1 :])
            # Whoever goes back on purpose may install a repair of what he went back to.
            connection.execute("INSERT OR REPLACE INTO floors VALUES (?, ?)", (one.name, one.version))
            outcome = f"done: {why}" if why else "done"
            write_down(connection, Deed(who, "rollback", f"{pid} {one}", one.digest, outcome))
        return self._active(pid)

    def deactivate(self, pid: str, who: str) -> None:
        """Let nothing serve a product any more; PackageError 2006 when nothing does."""
        with self.ledger.changing() as connection:
            current = _current(connection, pid)
            if current is None:
                raise _conflict(f"no package is active for {pid}", "`procvision-runner list` shows which are")
            connection.execute("DELETE FROM previous WHERE pid = ?", (pid,))
            connection.execute("DELETE FROM active WHERE pid = ?", (pid,))
            write_down(connection, Deed(who, "deactivate", f"{pid} {'@'.join(current)}"))

    def remove(self, label: str, who: str, operation: str = "uninstall") -> Path | None:
        """Take a version out: its folder goes to the trash with the row. Where it is now, None when it was gone.

        PackageError 2007 when it serves a product.
        """
        one = self.find(label)
        folder, thrown = self.folder(one), None
        try:
            with self.ledger.changing() as connection:
                _take_out(connection, one, Deed(who, operation, str(one), one.digest))
                # Last before the commit: ended here, the row outlives its folder, and recovery takes it out.
                thrown = self.places.to_trash(folder) if folder.exists() else None
        except StationError:
            if thrown is not None:
                thrown.rename(folder)
            raise
        return thrown

    def _check_whole(self, one: Installed) -> None:
        found = differences(self.folder(one), one.tree_sha256, Look.THOROUGH)
        if found:
            raise PackageError(
                f"{one} is not as it was installed: {found[0]} (and {len(found) - 1} more)",
                hint=f"`procvision-runner verify {one} --rebuild`, or uninstall it and install it again",
                code=ErrorCode.HASH_MISMATCH,
            )

    def _active(self, pid: str) -> Active:
        return next(one for one in self.active() if one.pid == pid)


def _active(row: tuple[str, str, str, int, str], previous: tuple[str, ...]) -> Active:
    pid, name, version, at_ms, who = row
    return Active(pid, name, version, at_ms, who, previous)


def _installed(row: tuple[str, str, str, str, str, str, int, str]) -> Installed:
    return Installed(*row[:4], tuple(json.loads(row[4])), *row[5:])


def _find(connection: sqlite3.Connection, label: str) -> Installed:
    name, _, version = label.partition("@")
    row = connection.execute(f"{_INSTALLED} WHERE name = ? AND version = ?", (name, version)).fetchone()
    if row is None:
        known = [f"{name}@{version}" for name, version in connection.execute("SELECT name, version FROM installed")]
        told = f"{label} is not installed; installed are: {', '.join(sorted(known)) or 'none'}"
        raise _conflict(told, "expected NAME@VERSION as `procvision-runner list` shows it")
    return _installed(row)


def _activated(connection: sqlite3.Connection, pid: str, label: str) -> Installed:
    """The version that is asked for, if it may serve the product."""
    one = _find(connection, label)
    if pid not in one.pids:
        raise _conflict(f"{one} is for {', '.join(one.pids)}, not for {pid}", "choose one of its products")
    floor = connection.execute("SELECT version FROM floors WHERE name = ?", (one.name,)).fetchone()
    if floor is not None and is_older(one.version, floor[0]):
        raise PackageError(
            f"{one} is older than {floor[0]}, which was active on this station",
            hint=f"to go back: `procvision-runner rollback {pid} --to {one}`",
            code=ErrorCode.DOWNGRADE_REFUSED,
        )
    return one


def _current(connection: sqlite3.Connection, pid: str) -> tuple[str, str] | None:
    row: tuple[str, str] | None = connection.execute(
        "SELECT name, version FROM active WHERE pid = ?", (pid,)
    ).fetchone()
    return row


def _previous_rows(connection: sqlite3.Connection, pid: str) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, version FROM previous WHERE pid = ? ORDER BY depth", (pid,)).fetchall()


def _previous(connection: sqlite3.Connection, pid: str) -> tuple[str, ...]:
    return tuple(map("@".join, _previous_rows(connection, pid)))


def _rollback_target(connection: sqlite3.Connection, pid: str, to: str | None) -> str:
    known = _previous(connection, pid)
    if to in known:
        return str(to)
    if to is None and known:
        return known[0]
    told = f"{pid} cannot go back" + (f" to {to}" if to else "")
    hint = f"`procvision-runner activate {pid} NAME@VERSION` takes any that is not older than the one activated last"
    raise _conflict(f"{told}; the versions before are: {', '.join(known) or 'none'}", hint)


def _set(connection: sqlite3.Connection, pid: str, one: Installed, who: str) -> None:
    row = (pid, one.name, one.version, wall_ms(), who)
    connection.execute("INSERT OR REPLACE INTO active VALUES (?, ?, ?, ?, ?)", row)


def _remember(connection: sqlite3.Connection, pid: str, rows: list[tuple[str, str]]) -> None:
    connection.execute("DELETE FROM previous WHERE pid = ?", (pid,))
    numbered = [(pid, depth, *row) for depth, row in enumerate(rows[:KEPT_PREVIOUS])]
    connection.executemany("INSERT INTO previous VALUES (?, ?, ?, ?)", numbered)


def _take_out(connection: sqlite3.Connection, one: Installed, deed: Deed) -> None:
    key = (one.name, one.version)
    _find(connection, str(one))
    serving = connection.execute("SELECT pid FROM active WHERE name = ? AND version = ?", key).fetchall()
    if serving:
        raise PackageError(
            f"{one} serves {', '.join(pid for (pid,) in serving)}",
            hint="activate another version, or deactivate it, first",
            code=ErrorCode.UNSAFE_UNINSTALL,
        )
    _forget(connection, key)
    connection.execute("DELETE FROM installed WHERE name = ? AND version = ?", key)
    write_down(connection, deed)


def _forget(connection: sqlite3.Connection, key: tuple[str, str]) -> None:
    """Take a version out of what every product can go back to."""
    pids = connection.execute("SELECT DISTINCT pid FROM previous WHERE name = ? AND version = ?", key).fetchall()
    for (pid,) in pids:
        _remember(connection, pid, [row for row in _previous_rows(connection, pid) if row != key])


def _conflict(text: str, hint: str) -> PackageError:
    return PackageError(text, hint=hint, code=ErrorCode.ACTIVATION_CONFLICT)
