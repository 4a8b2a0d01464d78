"""The workers of one deployment: begun with, watched, and let go (spec.md §7, §10).

start -> the first worker is READY -> standbys -> ... -> close -> stop
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Protocol

import psutil

from procvision_sdk.errors import ErrorCode, ErrorReport, PackageError
from procvision_sdk.wire.calls import Call, Result
from runner.config import StationConfig
from runner.health import Health, of_deployment, usable
from runner.logs import WorkerLogs, runner_log
from runner.routing.catalog import Deployment
from runner.worker_plan import plan_of
from runner.workers.budget import RestartBudget
from runner.workers.lifecycle import State
from runner.workers.memory_reading import resident_bytes
from runner.workers.plan import Reporting
from runner.workers.pool import WorkerPool
from runner.workers.supervisor import Supervisor
from runner.workers.worker import WorkerId

# A standby is started only where the memory of the serving worker is free twice over.
_STANDBY_ROOM = 2.0
_TOLD = frozenset({State.FATAL, State.ABORTING, State.FAILING, State.BACKOFF})


class Duty(Enum):
    """What a deployment is there for: products, to be gone (back) to, or to finish what it began."""

    SERVING = "serving"
    WARM = "warm"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Watchers:
    """Whom the workers of a station tell: that one is started, gone, in another state (`why`), or worth a warning.

    `serving` says whether the station takes new requests.
    """

    started: Callable[[WorkerId], None]
    gone: Callable[[WorkerId], None]
    changed: Callable[[WorkerId, State, str], None]
    warned: Callable[[WorkerId, str], None]
    serving: Callable[[], bool]


class Trial(Protocol):
    """What follows a version that has just begun to serve; nothing in it may block."""

    def answered(self, result: Result) -> None: ...
    def ended(self, why: str) -> None: ...


class Crew:
    """The workers of one deployment, and what is known of them."""

    def __init__(self, config: StationConfig, deployment: Deployment, scratch: Path, watchers: Watchers) -> None:
        self.deployment = deployment
        self.pool = WorkerPool(deployment.label, config.host.max_waiting, _budget(config))
        self.trial: Trial | None = None
        # No standbys yet: their start would take the cores from the first inspections of a version that arrives.
        self.alone = False
        self.leaving = False
        self.left = asyncio.Event()
        self._scratch = scratch
        self._watchers = watchers
        self._logs = WorkerLogs()
        self._settled = asyncio.Event()
        self._first_end = ""
        plan, seats = plan_of(config, deployment, scratch), range(1 + config.workers.standby)
        self.supervisors = self.pool.supervisors
        self.supervisors += [Supervisor(plan, seat, self._reporting()) for seat in seats]

    def start(self) -> None:
        """Start the first worker; the others follow once it serves."""
        self.supervisors[0].start()

    async def first_ready(self) -> None:
        """Return when a worker can serve; PackageError (1014) when the first one cannot boot, or ends before."""
        while not self.usable:
            if self._first_end or self.boot_failure is not None or self.leaving:
                raise self._cannot_boot()
            self._settled.clear()
            await self._settled.wait()

    def complete(self) -> None:
        """From now on it has its standbys."""
        self.alone = False
        if self.usable:
            self._start_standby()

    def apply(self, config: StationConfig) -> None:
        """Go on with these settings; what runs keeps what it was started with."""
        limits = config.workers
        self.pool.budget = replace(self.pool.budget, limit=limits.restarts, window_s=limits.restart_window_s)
        for one in self.supervisors:
            one.plan = plan_of(config, self.deployment, self._scratch)

    def begin_again(self, config: StationConfig) -> bool:
        """Forget the failures and boot what gave up or waits; whether there was something to boot."""
        self.pool.budget = _budget(config)
        begun = [one.begin_again() for one in self.supervisors]
        return any(begun)

    @property
    def health(self) -> Health:
        return of_deployment((one.state for one in self.supervisors), self.pool.budget.degraded)

    @property
    def usable(self) -> bool:
        return usable(one.state for one in self.supervisors)

    @property
    def boot_failure(self) -> ErrorReport | None:
        """Why it cannot boot, when it cannot."""
        return next((one.boot_failure for one in self.supervisors if one.boot_failure), None)

    def close(self) -> None:
        """Nobody is served any more; what waits is refused."""
        self.leaving = True
        self.pool.close()
        self._settled.set()

    async def stop(self) -> None:
        """Ask the workers to end, wait, and end them."""
        self.close()
        await asyncio.gather(*(one.stop() for one in self.supervisors))
        self.left.set()

    def _reporting(self) -> Reporting:
        return Reporting(
            number=self.pool.next_number,
            available=self.pool.dispatch,
            failed=self._failed,
            succeeded=self._succeeded,
            gone=self._gone,
            log=lambda worker, data, call: self._logs.feed(str(worker), data, call),
            changed=self._changed,
            warned=self._watchers.warned,
        )

    def _changed(self, worker: WorkerId, state: State, why: str) -> None:
        if state is State.STARTING:
            self._watchers.started(worker)
        if state in _TOLD:
            self.pool.reconsider()
        if state is State.READY:
            self._first_end = ""
            self._start_standby()
        else:
            self.pool.dispatch()
        self._settled.set()
        # Whoever waits for another worker goes on first.
        asyncio.get_running_loop().call_soon(self._tell, worker, state, why)
        if state is State.FATAL and self.trial is not None:
            self.trial.ended(f"{worker} cannot boot: {why}")

    def _tell(self, worker: WorkerId, state: State, why: str) -> None:
        if state in _TOLD:
            runner_log.warning("worker %s is %s %s", worker, state.value, why)
        self._watchers.changed(worker, state, why)

    def _failed(self) -> float:
        delay_s = self.pool.failed()
        ends = [one.last_exit for one in self.supervisors if one.last_exit is not None]
        self._first_end = str(ends[-1]) if ends else "unknown"
        self._settled.set()
        if self.trial is not None:
            self.trial.ended(f"a worker of {self.deployment.label} ended: {self._first_end}")
        return delay_s

    def _succeeded(self, call: Call, result: Result) -> str:
        if self.trial is not None and call.phase in ("step", "execute") and result.status == "OK":
            self.trial.answered(result)
        return self.pool.succeeded(call, result)

    def _gone(self, worker: WorkerId) -> None:
        self._watchers.gone(worker)
        self._logs.close(str(worker))

    def _start_standby(self) -> None:
        """Once a worker serves, start those that stand by: never before it, and never into memory that is not there."""
        for one in self.supervisors:
            if one.state is not State.STOPPED or self.alone or self.leaving or not self._watchers.serving():
                continue
            needed = max(resident_bytes(other.os_pid) for other in self.supervisors)
            free = psutil.virtual_memory().available
            if free < needed * _STANDBY_ROOM:
                text = "%s: no standby: %d bytes are free, a worker takes %d"
                runner_log.warning(text, self.deployment.label, free, needed)
            else:
                one.start()

    def _cannot_boot(self) -> PackageError:
        told = self.boot_failure
        why = told.message if told is not None else f"its first worker ended before it was ready: {self._first_end}"
        hint = (told.hint if told is not None else "") or "its log says more; what served before goes on"
        return PackageError(f"{self.deployment.label}: {why}", hint=hint, code=ErrorCode.CANNOT_BOOT)


def _budget(config: StationConfig) -> RestartBudget:
    return RestartBudget(config.workers.restarts, config.workers.restart_window_s)
