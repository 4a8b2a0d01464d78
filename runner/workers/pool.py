"""All workers of one deployment, pulling from one queue: first come, first served (spec.md §4, §7)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from random import uniform

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.wire.calls import Call, Result
from runner.clock import monotonic_s
from runner.eager import within
from runner.workers.budget import RestartBudget
from runner.workers.drift import Drift
from runner.workers.lifecycle import State, hopeless
from runner.workers.supervisor import Supervisor

# A request may wait for these also when the restart budget was exceeded.
_SERVE_SOON = frozenset({State.READY, State.BUSY, State.RECYCLING})

# While a standby serves, its successor's start, which is work for all cores, waits until the queue is served.
COVERED_S = 0.25


class WithdrawnError(StationError):
    """The deployment was withdrawn before a worker of it took the request."""

    default_code = ErrorCode.DEGRADED


class WorkerPool:
    """Hands out READY workers, at most `replicas` at a time; the others are warm standbys.

    A standby is promoted by being READY: when the serving worker hangs or dies, the next request gets it at once.
    A waiting place is bounded by count and by the caller's patience.
    """

    def __init__(self, deployment: str, max_waiting: int, budget: RestartBudget, replicas: int = 1) -> None:
        self.deployment = deployment
        self.supervisors: list[Supervisor] = []
        self.budget = budget
        self._replicas = replicas
        self._max_waiting = max_waiting
        self._waiting: deque[asyncio.Future[Supervisor]] = deque()
        self._promised: set[Supervisor] = set()
        self._last: Supervisor | None = None
        # Of this deployment since the runner started; no two lives have one number, also when it left and came back.
        self.incarnations = 0
        self.retries = self.poisons = 0
        # Admitted inspections, and sessions whose end its workers have to be told.
        self.inspecting = 0
        self.withdrawn = False
        self.drift = Drift()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    def next_number(self) -> int:
        """The next incarnation of this deployment, whichever replica it is."""
        self.incarnations += 1
        return self.incarnations

    def failed(self) -> float:
        """A worker ended that nobody asked to end; how long its successor waits."""
        self.budget = self.budget.fail(monotonic_s())
        delay_s = self.budget.delay_s(uniform(-0.2, 0.2))
        covered = any(one.state is State.READY for one in self.supervisors)
        return max(delay_s, COVERED_S) if covered else delay_s

    def succeeded(self, call: Call, result: Result) -> str:
        """A call was answered; what to warn of when its step has become slow, else ""."""
        self.budget = self.budget.succeed(monotonic_s())
        if call.phase != "step" or result.status == "ERROR" or not result.timings:
            return ""
        return self.drift.take(call.step_index, result.timings.pre_execute + result.timings.execute)

    def forgive(self) -> None:
        """The last failure was the second one of the same input."""
        self.poisons += 1
        self.budget = self.budget.forgive()

    async def acquire(self, patience_s: float, *, again: bool = False) -> Supervisor:
        """A READY worker, at once where there is one; the caller runs its call on it before it awaits anything else.

        `again`: it was admitted before, and is not refused for the length of the queue. It goes to the end all the
        same: what it asks for has ended a worker, and may end the next.

        StationError: 3001 when too many wait already, 1014 with the reason when the deployment cannot boot, 1005 when
        none became free in time, 3002 when the station is stopping.
        """
        give_up_at_s = monotonic_s() + patience_s
        supervisor = self._idle() if not self._waiting else None
        if supervisor is None:
            self._refuse_what_is_hopeless()
            if not again:
                self._refuse_what_is_too_much()
            supervisor = await self._wait(len(self._waiting), give_up_at_s, patience_s)
        while supervisor.state is not State.READY:
            # It ended on its way to this request, which was the first that waited and is so again.
            self._refuse_what_is_hopeless()
            supervisor = self._idle() or await self._wait(0, give_up_at_s, patience_s)
        return supervisor

    def dispatch(self) -> None:
        """Something changed: the longest waiting requests get what may serve now."""
        while self._waiting and (supervisor := self._idle()) is not None:
            place = self._waiting.popleft()
            if not place.done():
                self._promised.add(supervisor)
                place.set_result(supervisor)

    def _idle(self) -> Supervisor | None:
        """A worker that may take a call; the one that served last is preferred: its caches are warm."""
        serving, idle = 0, None
        for one in self.supervisors:
            if one.state is State.BUSY or one in self._promised:
                serving += 1
            elif one.state is State.READY and (idle is None or one is self._last):
                idle = one
        if idle is None or serving >= self._replicas:
            return None
        self._last = idle
        return idle

    async def _wait(self, index: int, give_up_at_s: float, patience_s: float) -> Supervisor:
        place: asyncio.Future[Supervisor] = asyncio.get_running_loop().create_future()
        self._waiting.insert(index, place)
        try:
            supervisor = await within(give_up_at_s - monotonic_s(), place)
        except BaseException as error:
            self._give_back(place)
            if isinstance(error, TimeoutError):
                states = ", ".join(sorted({one.state.value for one in self.supervisors}))
                raise StationError(
                    f"{self.deployment}: no worker became free within {patience_s:.3f} s (they are {states})",
                    code=ErrorCode.TIMEOUT,
                ) from None
            raise
        self._promised.discard(supervisor)
        return supervisor

    def _give_back(self, place: asyncio.Future[Supervisor]) -> None:
        """Nobody waits at this place any more; a worker that was promised to it goes to the next."""
        with suppress(ValueError):
            self._waiting.remove(place)
        if place.done() and not place.cancelled() and place.exception() is None:
            self._promised.discard(place.result())
            self.dispatch()

    def reconsider(self) -> None:
        """A worker's state changed for the worse: tell those who wait in vain."""
        try:
            self._refuse_what_is_hopeless()
        except StationError as error:
            self._refuse_all(error)

    def withdraw(self) -> None:
        """The version before serves again: those who wait are told, WithdrawnError; who stays must ask anew."""
        self.withdrawn = True
        self._refuse_all(WithdrawnError(f"{self.deployment} was withdrawn"))

    def close(self) -> None:
        """Nobody is served any more."""
        self._closed = True
        self.reconsider()

    def _refuse_all(self, error: StationError) -> None:
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def _refuse_what_is_hopeless(self) -> None:
        if self._closed:
            raise StationError(f"{self.deployment}: the station is stopping", code=ErrorCode.DEGRADED)
        if hopeless(one.state for one in self.supervisors):
            failure = next((one.boot_failure for one in self.supervisors if one.boot_failure is not None), None)
            reason = failure.message if failure is not None else "it cannot boot"
            raise StationError(f"{self.deployment}: {reason}", hint="see its log", code=ErrorCode.CANNOT_BOOT)
        if self.budget.degraded and not any(one.state in _SERVE_SOON for one in self.supervisors):
            message = f"{self.deployment}: its workers ended too often, {self._last_end()}; none is ready"
            raise StationError(message, hint="see its log; it is started again by itself", code=ErrorCode.DEGRADED)

    def _refuse_what_is_too_much(self) -> None:
        if len(self._waiting) >= self._max_waiting:
            raise StationError(f"{self.deployment}: {len(self._waiting)} inspections wait", code=ErrorCode.BUSY)

    def _last_end(self) -> str:
        ends = [one.last_exit for one in self.supervisors if one.last_exit is not None]
        return f"the last with {ends[-1]}" if ends else "none of them for long"
