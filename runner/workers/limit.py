"""The limit of one call, and what a call comes to whose worker ended (spec.md §7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from procvision_sdk.errors import ErrorCode, StationError
from runner.clock import monotonic_s

# A runner that was away this long gives everybody the time it missed.
LAG_S = 0.5


class EndedError(StationError):
    """A worker ended over a call; `stack` is where it was, "" when that was not known in time."""

    def __init__(self, message: str, stack: str) -> None:
        super().__init__(message, hint=self.own_hint)
        self.stack = stack

    own_hint = ""


class HangError(EndedError):
    """The call missed its deadline."""

    default_code = ErrorCode.TIMEOUT
    own_hint = "it was ended; its stack is in its log"


class CrashError(EndedError):
    """The process ended by itself, or had to be ended for what it said."""

    default_code = ErrorCode.WORKER_CRASHED


class Limit:
    """The limit of one call. A runner that was stopped itself gives the call the time it was away."""

    def __init__(self, limit_s: float, overrun: Callable[[], None]) -> None:
        self._overrun = overrun
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
        else:
            self._overrun()
