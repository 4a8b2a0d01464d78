"""How late the event loop is: it performs every deadline, so whoever blocks it makes the station late.

The watchdog of the init system is fed by the same loop: what is measured here tells what it acted on (spec.md §11.26).
"""

from __future__ import annotations

import asyncio

from runner.clock import monotonic_s
from runner.logs import runner_log

LOOK_S = 0.1
# A runner that was away this long gives everybody the time it missed (spec.md §7.3).
AWAY_S = 0.5


class LoopLag:
    """Milliseconds; `away` counts how often the loop was blocked, or the process stopped, for AWAY_S and more."""

    def __init__(self) -> None:
        self.lag_ms = 0.0
        self.most_ms = 0.0
        self.away = 0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            asleep_at_s = monotonic_s()
            await asyncio.sleep(LOOK_S)
            self.measured(monotonic_s() - asleep_at_s - LOOK_S)

    def measured(self, late_s: float) -> None:
        """The loop came `late_s` after it was due."""
        self.lag_ms = round(max(0.0, late_s) * 1000, 3)
        self.most_ms = max(self.most_ms, self.lag_ms)
        if late_s > AWAY_S:
            self.away += 1
            runner_log.warning("the event loop was away for %.0f ms: blocked, or the process was stopped", self.lag_ms)
