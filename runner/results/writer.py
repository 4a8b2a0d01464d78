"""The one thread that writes results, in groups (docs/decisions/0016).

    opening -> good <-> failing        good: what is asked is committed, then told
                                       failing: what is asked is told no at once; each second it is tried again

Protects: a row is told to be kept only after its commit; upkeep comes between two groups, in slices of about a
millisecond; a damaged file is set aside and its group written into its backup or a new one; a full disk gets the room
of the ballast before anybody is told no.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from runner.clock import monotonic_s
from runner.logs import runner_log
from runner.results import damage
from runner.results.archive import Archive, StoreError, is_damage, may_be_for_want_of_room, reason_of
from runner.results.group import gather, tell_all
from runner.results.plan import Asked, Condition, Told, WriterPlan
from runner.results.retention import Retention, Trust
from runner.results.rows import Answered, Row

# Rows nobody waits for while the store fails; the oldest go first.
MAX_BACKLOG = 1000
_TICK_S = 1.0
# Of a commit: as it is; in the file opened anew, for SQLite tells a read that failed once as damage; in another file.
_TRIES = 3
# Between two slices of what is deleted: more rows a second than a runner can write.
_PRUNE_S = 0.01
_NEVER_S = float("inf")
# What a commit adds to the log beside its answers, about: a page of the table and of each index.
_COMMIT_BYTES = 16 * 1024


class Writer:
    """`put` from any thread; `tell` runs a callable where the waiting ones live (a loop's call_soon_threadsafe)."""

    def __init__(self, plan: WriterPlan, tell: Callable[[Callable[[], None]], object]) -> None:
        self.condition = Condition()
        self._plan = plan
        self._tell = tell
        self._asked: queue.SimpleQueue[Asked | None] = queue.SimpleQueue()
        self._backlog: deque[Row] = deque(maxlen=MAX_BACKLOG)
        self._archive: Archive | None = None
        self._retention = Retention(plan.limits)
        self._next_seq = 1
        # How many files were set aside: says which one a doubt is about.
        self.generation = 0
        self._doubt: tuple[int, str] | None = None
        self._suspected = False
        # What was written into the log of the file, about; never less than before.
        self.logged_bytes = 0
        # Whoever holds it may hold the file open for writing: it is not renamed meanwhile.
        self.file_stays = threading.Lock()
        self._log_is_long = False
        self._look_at_s = 0.0
        self._prune_at_s = 0.0

    def start(self, opened: Callable[[], None]) -> None:
        """Begin; `opened` is told after the first try to open the file, whatever came of it."""
        self._thread = threading.Thread(target=self._work, args=(opened,), name="results")
        self._thread.start()

    def put(self, row: Row, told: Told | None = None) -> None:
        self._asked.put(Asked(row, told))

    def now_ms(self) -> int:
        """The wall clock as it was at the start, plus the time since: from any thread."""
        return self._retention.now_ms()

    def distrust(self, generation: int, reason: str) -> None:
        """A reader found damage: a new file begins, unless it has. `generation` is read before a file is opened."""
        self._doubt = generation, reason
        self._look_at_s = 0.0

    def end_log(self) -> None:
        """It is long, and all but what came meanwhile was moved: the writer moves the rest, so that it begins anew."""
        self._log_is_long = True

    def stop(self) -> None:
        """Write what was asked, close the file, end the thread."""
        self._asked.put(None)
        self._thread.join()

    def _work(self, opened: Callable[[], None]) -> None:
        self._guarded(self._look_after)
        self._tell(opened)
        going_on = True
        while going_on:
            group, going_on = gather(self._asked, min(self._look_at_s, self._prune_at_s))
            if self._doubt:
                # Before anything is written into a file that is about to be set aside.
                self._guarded(self._look_after)
            if group:
                self._guarded(partial(self._write, group))
            if monotonic_s() >= self._look_at_s:
                self._guarded(self._look_after)
            if monotonic_s() >= self._prune_at_s:
                self._prune_at_s = _NEVER_S
                self._guarded(partial(self._care_for, self._prune))
            if self._log_is_long:
                self._log_is_long = False
                self._guarded(partial(self._care_for, Archive.checkpoint))
        self._guarded(self._close)

    def _guarded(self, step: Callable[[], None]) -> None:
        """One step of the thread, which never ends of a fault: whoever waited for that step runs into its limit."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - the boundary of the thread: told in the log and in status
            runner_log.exception("the writer of results broke")
            self._say_failing(f"a fault of the runner: {reason_of(error)}")

    def _write(self, group: Sequence[Asked]) -> None:
        rows = [asked.row for asked in group]
        awaited = [asked.told for asked in group if asked.told is not None]
        kept = self.condition.state == "good" and self._commit(rows, "FULL" if awaited else "NORMAL")
        if kept and self._archive is not None:
            self._change(rows=self._archive.rows)
        else:
            self._backlog += [asked.row for asked in group if asked.told is None]
            self._change(unrecorded=self.condition.unrecorded + len(awaited))
        if awaited:
            self._tell(partial(tell_all, awaited, kept))

    def _commit(self, rows: Sequence[Row], wanted: Literal["FULL", "NORMAL"]) -> bool:
        sync = wanted if self._plan.durability == "power" else "NORMAL"
        for _ in range(_TRIES):
            if self._archive is None:
                return False
            try:
                self._archive.write(rows, sync)
            except sqlite3.Error as error:
                if not self._fail(error):
                    return False
            else:
                self._suspected = False
                self.logged_bytes += _COMMIT_BYTES + sum(len(row.answer) for row in rows if isinstance(row, Answered))
                return True
        return False

    def _fail(self, error: Exception) -> bool:
        """Say that writing failed; whether to try again at once: in another file, or in the room of the ballast."""
        self._change(failures=self.condition.failures + 1)
        if is_damage(error):
            return self._suspect(reason_of(error))
        if may_be_for_want_of_room(error) and self._plan.room.release():
            return True
        self._say_failing(reason_of(error))
        return False

    def _say_failing(self, reason: str) -> None:
        if self.condition.state != "failing" or self.condition.reason != reason:
            runner_log.error("results cannot be kept in %s: %s", self._plan.path, reason)
        self._change(state="failing", reason=reason)

    def _suspect(self, reason: str) -> bool:
        """Open a file anew that is called damaged, and set it aside the second time; whether there is one to try."""
        if self._suspected:
            self._suspected = False
            return self._begin_anew(reason)
        runner_log.warning("the store looks damaged (%s): it is opened again", reason)
        self._suspected = True
        self._close_file()
        return self._open() is None

    def _begin_anew(self, reason: str) -> bool:
        """Set the damaged file aside and open its backup or a new one; whether that worked."""
        self._close_file()
        try:
            with self.file_stays:
                aside = damage.set_aside(self._plan.path, damage.stamp())
        except OSError as error:
            # Tried again: what is known to be damaged is not opened as if it were not.
            self._doubt = self.generation, reason
            self._say_failing(f"damaged ({reason}), and it cannot be set aside: {error}")
            return False
        self.generation += 1
        runner_log.error("the store was damaged (%s): it is kept as %s", reason, aside)
        self._change(set_aside=(*self.condition.set_aside, aside.name))
        return self._open() is None

    def _open_or_begin_anew(self) -> None:
        error = self._open()
        if error is not None and is_damage(error):
            error = self._open()
        if error is not None and is_damage(error):
            self._begin_anew(reason_of(error))

    def _open(self) -> Exception | None:
        """Open the file or its backup, answer what an earlier life left open; why not, when that fails."""
        try:
            self._restore()
            self._archive = Archive(self._plan.path, self._plan.epoch, self._plan.locked_s, self._next_seq)
            closed = self._archive.close_open_rows(self._plan.answer_of)
            self._see_clock(self._archive)
        except (sqlite3.Error, StoreError, OSError) as error:
            self._close_file()
            self._change(failures=self.condition.failures + 1)
            self._say_failing(reason_of(error))
            if may_be_for_want_of_room(error):
                self._plan.room.release()
            return error
        if closed:
            runner_log.warning("%d inspections were open when the runner ended: they are answered 3004", closed)
        now = self.condition
        # Until now readers had the old file, which still answers what it can.
        files = len(now.set_aside) + now.restored
        self._change(state="good", reason="", restarted=now.restarted + closed, rows=self._archive.rows, files=files)
        return None

    def _restore(self) -> None:
        """The backup, where there is one and no store."""
        with self.file_stays:
            restored = damage.restore(self._plan.path, damage.stamp())
        if restored:
            runner_log.error("the last backup is the store now; answers since it was made are not in it")
            self._change(restored=self.condition.restored + 1)

    def _look_after(self) -> None:
        """Once a second: the disk, a store that failed, damage that a reader found, what is too old or too much."""
        self._look_at_s = monotonic_s() + _TICK_S
        self._look_at_disk()
        doubt, self._doubt = self._doubt, None
        if doubt is not None and doubt[0] == self.generation:
            self._begin_anew(doubt[1])
        elif self._archive is None:
            self._open_or_begin_anew()
        self._care_for(self._upkeep)
        self._prune_at_s = 0.0

    def _care_for(self, step: Callable[[Archive], None]) -> None:
        """Do something to the file, where there is one; what fails there is what would fail a commit."""
        if self._archive is None:
            return
        try:
            step(self._archive)
        except sqlite3.Error as error:
            self._fail(error)
            if self.condition.state == "failing":
                # A descriptor that failed once may fail for ever: the next try opens the file again.
                self._close_file()

    def _upkeep(self, archive: Archive) -> None:
        if self.condition.state == "failing" or self._backlog:
            archive.write(list(self._backlog), "FULL" if self._plan.durability == "power" else "NORMAL")
            self._see_clock(archive)
            self._backlog.clear()
            if self.condition.state == "failing":
                runner_log.warning("results are kept again in %s", self._plan.path)
            self._change(state="good", reason="")
        self._retention.keep_clock(archive)
        self._change(rows=archive.rows, bytes=archive.used_bytes() + archive.wal_bytes())

    def _prune(self, archive: Archive) -> None:
        """One slice of what is too old or too much; the next soon, or with the next look when there is no more."""
        count = self._retention.prune(archive)
        if count:
            self._prune_at_s = monotonic_s() + _PRUNE_S
            self.logged_bytes += _COMMIT_BYTES
            self._change(rows=archive.rows, pruned=self.condition.pruned + count)

    def _look_at_disk(self) -> None:
        try:
            found = self._plan.room.look()
        except OSError as error:
            runner_log.warning("the disk of %s cannot be looked at: %s", self._plan.path, error)
            return
        if found.level != self.condition.disk.level:
            runner_log.warning("disk is %s: %d bytes are free", found.level, found.free_bytes)
        self._change(disk=found)

    def _see_clock(self, archive: Archive) -> None:
        trust = self._retention.see_clock(archive)
        if trust is Trust.DOUBTED and self.condition.clock != trust.value:
            runner_log.warning("the clock is far from where the results end: none is deleted for its age")
        self._change(clock=trust.value)

    def _close(self) -> None:
        if self._backlog and self._archive is not None:
            self._commit(list(self._backlog), "FULL")
        self._close_file()

    def _close_file(self) -> None:
        if self._archive is not None:
            self._next_seq = self._archive.next_seq
            self._archive.close()
            self._archive = None

    def _change(self, **changes: object) -> None:
        self.condition = replace(self.condition, **changes)  # type: ignore[arg-type]
