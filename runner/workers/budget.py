"""How often a deployment's workers may fail before their restarts slow down: pure, time comes in as a number.

within `limit` failures in `window_s`   restart at once
beyond                                  DEGRADED: back-off 1, 2, 4 ... 60 s, for ever, serving whenever one is READY
10 minutes without a failure, or 1000 good calls in a row clear it (spec.md §7.6)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAX_BACKOFF_S = 60.0
CLEAR_AFTER_S = 600.0
CLEAR_AFTER_CALLS = 1000


@dataclass(frozen=True, slots=True)
class RestartBudget:
    """`spent` are the times of the failures in the window, `beyond` counts those since the budget was exceeded."""

    limit: int = 3
    window_s: float = 60.0
    spent: tuple[float, ...] = ()
    beyond: int = 0
    good_calls: int = 0

    @property
    def degraded(self) -> bool:
        """Whether the budget was exceeded and has not been cleared since."""
        return self.beyond > 0

    def fail(self, now_s: float) -> RestartBudget:
        """One more failure."""
        cleared = self._cleared_by_time(now_s)
        spent = (*(at for at in cleared.spent if now_s - at < self.window_s), now_s)
        exceeded = cleared.degraded or len(spent) > self.limit
        return replace(cleared, spent=spent, beyond=cleared.beyond + exceeded, good_calls=0)

    def forgive(self) -> RestartBudget:
        """The last failure does not count: both crashes of one poison input are one."""
        return replace(self, spent=self.spent[:-1], beyond=max(0, self.beyond - 1))

    def succeed(self, now_s: float) -> RestartBudget:
        """One more good call."""
        if not self.degraded:
            return self
        counted = replace(self._cleared_by_time(now_s), good_calls=self.good_calls + 1)
        return replace(counted, beyond=0, good_calls=0) if counted.good_calls >= CLEAR_AFTER_CALLS else counted

    def delay_s(self, jitter: float) -> float:
        """Seconds until the next start; `jitter` in -0.2..0.2 keeps several workers from starting in step."""
        if not self.degraded:
            return 0.0
        return float(min(MAX_BACKOFF_S, 2.0 ** min(self.beyond - 1, 10))) * (1 + jitter)

    def _cleared_by_time(self, now_s: float) -> RestartBudget:
        quiet = self.degraded and bool(self.spent) and now_s - self.spent[-1] >= CLEAR_AFTER_S
        return replace(self, beyond=0, good_calls=0) if quiet else self
