"""What is written down of an inspection, and what is read back (spec.md §4.36)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from procvision_sdk.errors import error_word

Key = tuple[str, str]
MAX_LISTED = 1000


@dataclass(eq=False, slots=True)
class Place:
    """Where a row goes; the writer's alone. `seq` is 0 until it was tried first, `kept` says that it is in the file."""

    seq: int = 0
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """An inspection that was admitted. `payload` is the digest of its request, `key` client_id and request_id."""

    key: Key
    pid: str
    payload: bytes
    shared_mem_id: str
    received_at_ms: int
    place: Place = field(default_factory=Place)


@dataclass(frozen=True, slots=True)
class Answered:
    """The one answer of an accepted inspection: `answer` is the message as the host gets it."""

    accepted: Accepted
    status: str
    verdict: str
    code: str
    answer: bytes
    finished_at_ms: int


Row = Accepted | Answered


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store holds under a request_id; `answer` is None while it is open."""

    payload: bytes
    answer: bytes | None
    finished_at_ms: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows: of one product, received since, at most `last` of the newest."""

    pid: str | None = None
    since_ms: int = 0
    last: int = 100


@dataclass(frozen=True, slots=True)
class Listed:
    """One row as `results` shows it; `status` is "" while it is open."""

    seq: int
    client_id: str
    request_id: str
    pid: str
    received_at_ms: int
    finished_at_ms: int | None
    status: str
    verdict: str
    error_code: str

    def to_json(self) -> dict[str, Any]:
        told = {name: getattr(self, name) for name in self.__slots__}
        return {**told, "error_name": error_word(self.error_code)}
