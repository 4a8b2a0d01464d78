"""The limit of one call, and what a call that missed it comes to (spec.md §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from procvision_sdk.errors import ErrorCode, StationError
from runner.clock import monotonic_s

# A runner that was away this long gives everybody the time it missed.
LAG_S = 0.5
# After a pause of the runner its timers may ring before it has read what workers said meanwhile (epoll tells of nothing
# when a signal woke it too late): once more the loop looks at its pipes.
LAST_LOOK_S = 0.002


class HangError(StationError):
    """The call missed its deadline; `stack` is where it hung, "" when that was not known in time."""

    default_code = ErrorCode.TIMEOUT

    def __init__(self, message: str, stack: str) -> None:
        super().__init__(message, hint="it was ended; its stack is in its log")
        self.stack = stack


class Limit:
    """The limit of one call. A runner that was stopped itself gives the call the time it was away."""

    def __init__(self, limit_s: float, overrun: Callable[[], None]) -> None:
        self._overrun = overrun
        self._looked = False
        self._arm(max(0.0, limit_s))

    def end(self) -> None:
        self._timer.cancel()

    def _arm(self, delay_s: float) -> None:
        self._due_s = monotonic_s() + delay_s
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ring)

    def _ring(self) -> None:
        late_s = monotonic_s() - self._due_s
        if late_s > LAG_S:
            self._arm(late_s)
        elif not self._looked:
            self._looked = True
            self._arm(LAST_LOOK_S)
        else:
            self._overrun()
