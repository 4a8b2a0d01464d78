"""The keys of publishers that a station trusts (spec.md §10)."""

from __future__ import annotations

from dataclasses import dataclass

from procvision_sdk.errors import ErrorCode, PackageError
from runner.clock import wall_ms
from runner.packages.ledger import Deed, Ledger, write_down
from runner.packages.signing import key_id


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A pinned public key, in PEM."""

    key_id: str
    pem: bytes
    at_ms: int
    who: str


class Trust:
    """The pinned keys; each change is audited in its own transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def keys(self) -> tuple[TrustedKey, ...]:
        with self._ledger.reading() as connection:
            return tuple(TrustedKey(*row) for row in connection.execute("SELECT * FROM trusted ORDER BY at_ms, key_id"))

    def add(self, pem: bytes, who: str) -> str:
        """Pin a public key; its id. PackageError 2008 when the file holds none."""
        known = key_id(pem)
        with self._ledger.changing() as connection:
            connection.execute("INSERT OR IGNORE INTO trusted VALUES (?, ?, ?, ?)", (known, pem, wall_ms(), who))
            write_down(connection, Deed(who, "trust add", known))
        return known

    def remove(self, known: str, who: str) -> None:
        """Trust a key no longer; versions that it signed stay installed. PackageError 2008 when it is not pinned."""
        with self._ledger.changing() as connection:
            if not connection.execute("DELETE FROM trusted WHERE key_id = ?", (known,)).rowcount:
                hint = "`procvision-runner trust list` shows those that are"
                raise PackageError(f"the key {known} is not trusted", hint=hint, code=ErrorCode.SIGNATURE)
            write_down(connection, Deed(who, "trust remove", known))
