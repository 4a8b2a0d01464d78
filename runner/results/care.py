"""Beside the writer: its log, the check of the file at the start, its backup on time, room on the disk.

One thread of its own; nothing it does delays a commit (docs/decisions/0019, 0038). What it finds it tells the writer,
who alone changes what the store says.
"""

from __future__ import annotations

import sqlite3
import threading

from procvision_sdk.errors import ProcVisionError
from runner.clock import monotonic_s, wall_ms
from runner.logs import runner_log
from runner.results import backup, checkpoint
from runner.results.archive import is_damage, reason_of
from runner.results.damage import backup_of
from runner.results.plan import WriterPlan
from runner.results.reading import Checkup
from runner.results.writer import Writer

_TICK_S = 1.0
# A start has better things to do; and a station that is started again and again has its backups all the same.
_FIRST_S = 60.0
_RETRY_S = 60.0
# So much of the log is moved at a time; when it is longer than that by far, it has to begin anew.
_LOG_BYTES = 4 * 1024 * 1024
_LONG_LOG_PAGES = 4096
_PASSES = 2


class Care:
    """`at_ms` is when the backup that lies there was made, None: there is none; `failures` counts failed tries."""

    def __init__(self, plan: WriterPlan, writer: Writer) -> None:
        self.at_ms: int | None = None
        self.failures = 0
        self.poison_removed = 0
        self._plan, self._writer = plan, writer
        self._path = plan.path
        self._stopping = threading.Event()
        self._checkup = Checkup(plan.path, self._stopping)
        self._files = 0
        self._due_s = 0.0
        # The first time whatever an earlier life has left.
        self._moved_bytes = -_LOG_BYTES
        self._thread = threading.Thread(target=self._work, name="results-care")

    def start(self) -> None:
        """Begin; the store has been opened."""
        self.at_ms = self._made_at_ms()
        age_s = (wall_ms() - self.at_ms) / 1000 if self.at_ms is not None else float("inf")
        every_s = self._plan.backup_s
        # A backup from the future tells nothing of its age.
        left_s = every_s - age_s if age_s >= 0 else 0.0
        self._due_s = monotonic_s() + min(every_s, max(_FIRST_S, left_s))
        self._files = self._writer.condition.files
        self._thread.start()

    def stop(self) -> None:
        """Give up what is being done, and end the thread."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._move_log()
            self._look_for_damage()
            while not self._stopping.wait(_TICK_S):
                self.poison_removed += self._plan.room.mend()
                self._move_log()
                if self._is_due():
                    self._back_up()
        except Exception:  # noqa: BLE001 - the boundary of the thread: said in the log, the station goes on
            runner_log.exception("the care of results broke: no more backups are made")
            self.failures += 1

    def _look_for_damage(self) -> bool:
        generation = self._writer.generation
        fault = self._checkup.run()
        if fault and not self._stopping.is_set():
            self._writer.distrust(generation, fault)
        return bool(fault)

    def _move_log(self) -> None:
        """When there is enough of it; the passes after the first find only what came meanwhile."""
        logged_bytes = self._writer.logged_bytes
        if logged_bytes - self._moved_bytes < _LOG_BYTES or self._writer.condition.state != "good":
            return
        self._moved_bytes = logged_bytes
        try:
            with self._writer.file_stays:
                for _ in range(_PASSES):
                    pages = checkpoint.move(self._path)
        except sqlite3.Error as error:
            runner_log.warning("the log of %s was not moved into it: %s", self._path, reason_of(error))
            if is_damage(error):
                self._look_for_damage()
            return
        if pages > _LONG_LOG_PAGES:
            self._writer.end_log()

    def _is_due(self) -> bool:
        """At its time, and at once where a backup has become the store; not while there is little room."""
        condition = self._writer.condition
        if not self._plan.backup_s or condition.state != "good" or condition.disk.level != "good":
            return False
        return condition.files != self._files or monotonic_s() >= self._due_s

    def _back_up(self) -> None:
        self._files = self._writer.condition.files
        self._due_s = monotonic_s() + self._plan.backup_s
        try:
            if backup.make(self._path, self._stopping):
                self.at_ms = self._made_at_ms()
        except (sqlite3.Error, OSError, ProcVisionError) as error:
            self.failures += 1
            self._due_s = monotonic_s() + min(_RETRY_S, self._plan.backup_s)
            runner_log.warning("no backup of %s was made: %s", self._path, reason_of(error))
            # The copy may be bad or what was copied; only the second is a reason to give up the store.
            self._look_for_damage()

    def _made_at_ms(self) -> int | None:
        try:
            return int(backup_of(self._path).stat().st_mtime * 1000)
        except OSError:
            return None
