"""What the writer of results is asked and given, and how it says that the store is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.results.archive import LOCKED_S
from runner.results.disk import NOT_LOOKED, Disk
from runner.results.retention import Limits
from runner.results.room import Room
from runner.results.rows import Row

# Whether it is kept.
Told = Callable[[bool], None]
State = Literal["opening", "good", "failing"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One row to write. `told` None: nobody waits for it."""

    row: Row
    told: Told | None


@dataclass(frozen=True, slots=True)
class WriterPlan:
    """Where and how results are kept. `answer_of` makes the answer of a request that an earlier life left open.

    `backup_s` 0: no backup is made.
    """

    path: Path
    epoch: str
    durability: Literal["power", "process"]
    limits: Limits
    room: Room
    answer_of: Callable[[str, str], bytes]
    locked_s: float = LOCKED_S
    backup_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """How the store is; replaced whole, so that any thread may read it. `files` changes when readers have
    to open the file anew.

    `clock` is `unseen` until the store was open, then `trusted` or `doubted` (spec.md §11.15).
    """

    state: State = "opening"
    reason: str = ""
    rows: int = 0
    bytes: int = 0
    failures: int = 0
    unrecorded: int = 0
    restarted: int = 0
    pruned: int = 0
    set_aside: tuple[str, ...] = ()
    restored: int = 0
    files: int = 0
    clock: str = "unseen"
    disk: Disk = NOT_LOOKED
