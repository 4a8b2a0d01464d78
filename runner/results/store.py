"""Results that outlive the runner, as the station's loop sees them (spec.md §4.34, docs/decisions/0016).

Reading is a look-up of a few microseconds on the loop; writing is the writer's thread. There is no store where
`durability` is `none`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from procvision_sdk.errors import ErrorCode, StationError
from runner.config import StoreConfig
from runner.eager import Reply
from runner.results.answers import reused
from runner.results.archive import StoreError, is_damage, reason_of
from runner.results.care import Care
from runner.results.plan import WriterPlan
from runner.results.reading import Reader, listing
from runner.results.report import after_restart, encode
from runner.results.retention import Limits, Trust
from runner.results.room import Room
from runner.results.rows import Accepted, Answered, Kept, Key, Listed, Selection
from runner.results.writer import Writer

FILE = "results.sqlite"
# An answer that comes within this is one row and one turn of the writer's thread, not two.
ACCEPTED_S = 0.002
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StorePlan:
    """Where results are kept, how, and how long a resent request finds its answer."""

    folder: Path
    config: StoreConfig
    ttl_s: float


class ResultStore:
    """Opened on the loop that uses it. `durability` is `power` or `process`."""

    def __init__(self, plan: StorePlan, durability: Literal["power", "process"]) -> None:
        self.durability = durability
        self.path = plan.folder / FILE
        self._plan = plan
        self._reader: Reader | None = None
        self._reader_of = self._generation = 0
        self._refused = {"disk": 0, "store": 0}
        self._accepted: dict[int, Accepted] = {}
        self._passing_on: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Returns after the first try: a store that cannot be opened is tried again and says so in `status`."""
        loop = asyncio.get_running_loop()
        config = self._plan.config
        plan = WriterPlan(
            path=self.path,
            epoch=token_hex(8),
            durability=self.durability,
            limits=Limits(config.retention_days, config.max_mb * _MIB),
            room=Room(self._plan.folder, config.min_free_mb * _MIB, config.ballast_mb * _MIB),
            answer_of=lambda request_id, pid: encode(after_restart(request_id, pid, self.durability))[1],
            locked_s=config.locked_s,
            backup_s=config.backup_s,
        )
        self._writer = Writer(plan, loop.call_soon_threadsafe)
        opened = asyncio.Event()
        self._writer.start(opened.set)
        await opened.wait()
        self._room = plan.room
        self._care = Care(plan, self._writer)
        self._care.start()

    async def close(self) -> None:
        """Write what was asked, and close the file."""
        if self._passing_on is not None:
            self._passing_on.cancel()
        self._pass_on()
        await asyncio.to_thread(self._care.stop)
        await asyncio.to_thread(self._writer.stop)
        self._close_reader()

    def find(self, key: Key, payload: bytes) -> bytes | None:
        """The answer that was given to this request; None when the request is new.

        IdReuseError (4004): its id was used for another request. StationError (3008): the store cannot be read, and
        with `power` a request that may be an old one is not inspected.
        """
        kept = self._kept(key)
        if kept is None or self._is_over(kept):
            return None
        if kept.payload != payload:
            raise reused(key[1])
        return kept.answer

    def answer_to(self, key: Key) -> bytes | None:
        """The stored answer, None when there is none."""
        kept = self._kept(key)
        return kept.answer if kept is not None and not self._is_over(kept) else None

    def refuse_what_cannot_be_kept(self) -> None:
        """StationError for a new inspection: 3007 when the disk is full, 3008 when `power` cannot be promised."""
        condition = self._writer.condition
        if condition.disk.level == "full":
            self._refused["disk"] += 1
            raise StationError(
                f"the disk of {self.path.parent} has {condition.disk.free_bytes} bytes free: nothing is inspected",
                hint="free space, or lower store.retention_days and store.max_mb",
                code=ErrorCode.DISK,
            )
        if condition.state != "good" and self.durability == "power":
            self._refused["store"] += 1
            raise StoreError(
                f"results cannot be kept in {self.path}: {condition.reason}",
                hint="nothing is inspected until they can; see status of the station",
            )

    def accept(self, row: Accepted) -> None:
        """Write it down within ACCEPTED_S, unless its answer comes before that and says it all; nobody waits."""
        self._accepted[id(row)] = row
        if self._passing_on is None:
            self._passing_on = asyncio.get_running_loop().call_later(ACCEPTED_S, self._pass_on)

    def _pass_on(self) -> None:
        self._passing_on = None
        while self._accepted:
            self._writer.put(self._accepted.pop(next(iter(self._accepted))))

    def _pass_on_before(self, answered: Accepted) -> None:
        """Rows are numbered in the order of admission (spec.md §4.36): those that wait and came before it go first."""
        while id(answered) in self._accepted:
            row = self._accepted.pop(next(iter(self._accepted)))
            if row is not answered:
                self._writer.put(row)

    async def record(self, row: Answered, limit_s: float) -> bool:
        """Whether the answer is kept, as `durability` promises; False after `limit_s`, and then `amend` it."""
        loop = asyncio.get_running_loop()
        told: Reply[bool] = Reply()
        tell = _teller(told)
        limit = loop.call_later(max(0.0, min(limit_s, self._plan.config.locked_s)), tell, False)
        self._pass_on_before(row.accepted)
        self._writer.put(row, tell)
        try:
            return await told
        finally:
            limit.cancel()

    def amend(self, row: Answered) -> None:
        """The host got this instead: write it down as soon as that is possible."""
        self._writer.put(row)

    async def listing(self, selection: Selection) -> list[Listed]:
        """The newest rows first; StoreError when the file cannot be read."""
        return await asyncio.to_thread(listing, self.path, selection)

    def status(self) -> dict[str, Any]:
        """What `status` says under `store`."""
        told = asdict(self._writer.condition)
        del told["files"]
        told["disk"] |= {"ballast_bytes": self._room.ballast_bytes(), "poison_removed": self._care.poison_removed}
        backup = {"at_ms": self._care.at_ms, "failures": self._care.failures}
        return {**told, "durability": self.durability, "refused": dict(self._refused), "backup": backup}

    def _kept(self, key: Key) -> Kept | None:
        files = self._writer.condition.files
        if self._reader_of != files:
            self._close_reader()
            self._reader_of = files
        try:
            return self._read(key)
        except sqlite3.Error as error:
            if is_damage(error):
                self._writer.distrust(self._generation, reason_of(error))
            if self.durability == "process":
                return None
            raise StoreError(
                f"{self.path} cannot be read: {reason_of(error)}", hint="ask again; see status of the station"
            ) from None

    def _read(self, key: Key) -> Kept | None:
        """Looks again where there seems to be damage: SQLite tells a read that failed once in the same way."""
        try:
            return self._look(key)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
        return self._look(key)

    def _look(self, key: Key) -> Kept | None:
        try:
            if self._reader is None:
                self._generation = self._writer.generation
                self._reader = Reader(self.path)
            return self._reader.find(key)
        except sqlite3.Error:
            self._close_reader()
            raise

    def _is_over(self, kept: Kept) -> bool:
        """Whether its id is free again. Between two lives there is no clock but the wall's: a jumped one frees none."""
        if kept.answer is None or self._writer.condition.clock != Trust.TRUSTED.value:
            return False
        return self._writer.now_ms() - kept.finished_at_ms > self._plan.ttl_s * 1000

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _teller(told: asyncio.Future[bool]) -> Callable[[bool], None]:
    """Resolves it once: by the writer or by its limit, whichever is first."""

    def tell(kept: bool) -> None:
        if not told.done():
            told.set_result(kept)

    return tell
