"""How long rows are kept: by age while the clock can be trusted, and by size always (spec.md §11.15).

A station whose clock jumped must not forget everything at once. Age counts from the clock at the start of the runner
plus the monotonic time since; a row goes only after those that were written before it; and a start that finds the clock
a week or more away from where the store saw it last deletes nothing by age until a second start agrees with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runner.clock import monotonic_s, wall_ms
from runner.results.archive import Archive

_DAY_MS = 86_400_000
DOUBT_MS = 7 * _DAY_MS
# A slice of about a millisecond: commits come between two of them.
SLICE_ROWS = 32
_NOTE_S = 3600.0
_SEEN, _DOUBTED = "clock_seen_ms", "clock_doubted_ms"


class Trust(Enum):
    TRUSTED = "trusted"
    DOUBTED = "doubted"


def judge(now_ms: int, seen_ms: int | None, doubted_ms: int | None) -> Trust:
    """What a start makes of the clock, given when the store saw it last and what an earlier start doubted."""
    if seen_ms is None or abs(now_ms - seen_ms) < DOUBT_MS:
        return Trust.TRUSTED
    if doubted_ms is not None and 0 <= now_ms - doubted_ms < DOUBT_MS:
        return Trust.TRUSTED
    return Trust.DOUBTED


@dataclass(frozen=True, slots=True)
class Limits:
    """At most this many days (fractions allowed) and bytes of answered rows."""

    days: float
    max_bytes: int


class Retention:
    """Deletes what exceeds the limits, a slice at a time."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._started_ms = wall_ms()
        self._started_s = monotonic_s()
        self._trust: Trust | None = None
        self._note_at_s = 0.0

    def now_ms(self) -> int:
        """The clock at the start plus the time since: no jump during this life moves it."""
        return self._started_ms + int((monotonic_s() - self._started_s) * 1000)

    def see_clock(self, archive: Archive) -> Trust:
        """Judge the clock once in a life, note what was seen; sqlite3.Error when that cannot be written."""
        if self._trust is None:
            self._trust = judge(self.now_ms(), archive.noted(_SEEN), archive.noted(_DOUBTED))
        self._note_at_s = monotonic_s() + _NOTE_S
        archive.note(_SEEN if self._trust is Trust.TRUSTED else _DOUBTED, self.now_ms())
        return self._trust

    def keep_clock(self, archive: Archive) -> None:
        """Note the clock again from time to time, so that a long life is no jump to the next; sqlite3.Error."""
        if monotonic_s() >= self._note_at_s:
            self.see_clock(archive)

    def prune(self, archive: Archive, slice_rows: int = SLICE_ROWS) -> int:
        """Delete one slice of what is too old, or else of what is too much; how many rows."""
        count = 0
        if self._trust is Trust.TRUSTED:
            count = archive.forget_older(self.now_ms() - int(self._limits.days * _DAY_MS), slice_rows)
        if not count and archive.used_bytes() > self._limits.max_bytes:
            count = archive.forget_oldest(slice_rows)
        return count
