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
    """The limit of one call after the other. A runner that was stopped itself gives the call the time it was away.

    A timer that is set and taken back for each call costs more than one that rings early and is set again: it stays
    until it rings, or a call has an earlier limit.
    """

    def __init__(self, overrun: Callable[[], None]) -> None:
        self._overrun = overrun
        self._ends_at_s: float | None = None
        self._looked = False
        self._rings_at_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, limit_s: float) -> None:
        """From now on `overrun` is called once after `limit_s`, unless `end` comes first."""
        self._looked = False
        self._ends_at_s = monotonic_s() + max(0.0, limit_s)
        if self._timer is None or self._ends_at_s < self._rings_at_s:
            self._ring_at(self._ends_at_s)

    def end(self) -> None:
        """The call is over."""
        self._ends_at_s = None

    def close(self) -> None:
        """There will be no call any more."""
        self.end()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at_s = at_s
        self._timer = asyncio.get_running_loop().call_at(at_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._judge()

    def _judge(self) -> None:
        if self._ends_at_s is None:
            return
        now_s = monotonic_s()
        late_s = now_s - self._ends_at_s
        if late_s > LAG_S:
            self._ends_at_s = now_s + late_s
        if self._ends_at_s > now_s:
            self._ring_at(self._ends_at_s)
        elif not self._looked:
            self._looked = True
            # After a pause of the runner its timers may ring before it has read what workers said meanwhile: epoll told
            # of nothing before the pause. In the turn between, the loop looks at its pipes once more.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._judge)
        else:
            self._ends_at_s = None
            self._overrun()
