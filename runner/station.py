"""The whole runner without its socket: builds the parts, starts and stops them in order.

    start   sweep what a killed runner left -> segment -> workers
    stop    refuse -> drain -> stop the workers -> unlink the segment

Used by the daemon, and in one process by `procvision run` and `validate`: the same slots, workers and validation.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from procvision_sdk.errors import ErrorReport, ProcVisionError
from procvision_sdk.wire.host_messages import Inspect
from procvision_sdk.wire.messages import Call
from runner import scratch
from runner.clock import monotonic_s
from runner.config import StationConfig
from runner.events import Events
from runner.health import Health, of_deployment, of_station, usable
from runner.journey import Journey, Parts
from runner.logs import WorkerLogs, runner_log
from runner.loop_lag import LoopLag
from runner.orphans import Known
from runner.results import poison
from runner.results.answers import AnswerBook
from runner.results.report import InspectionResult
from runner.routing.catalog import Catalog
from runner.sessions import OpenSession, SessionBook
from runner.slots import segment
from runner.slots.pool import SlotPool
from runner.slots.segment import Name
from runner.ticket import Ticket
from runner.worker_plan import memory_mb, plan_of
from runner.workers.budget import RestartBudget
from runner.workers.lifecycle import State
from runner.workers.memory import MemoryWatch
from runner.workers.memory_reading import resident_bytes
from runner.workers.plan import Reporting
from runner.workers.pool import WorkerPool
from runner.workers.supervisor import Supervisor
from runner.workers.worker import WorkerId

_LOOK_S = 1.0
# A standby is started only where the memory of the serving worker is free twice over.
_STANDBY_ROOM = 2.0


class Station:
    """One per process. `start` on the main thread's event loop, then `journey`, `slots`, `sessions` may be used."""

    def __init__(self, config: StationConfig, catalog: Catalog, poison_folder: Path | None = None) -> None:
        """`poison_folder` is where inputs that end workers are kept; None keeps none."""
        self.config = config
        self._poison_folder = poison_folder
        self.catalog = catalog
        self.events = Events()
        self.answers = AnswerBook(config.request_id_ttl_s)
        self.sessions = SessionBook(config.session_idle_s)
        budget = RestartBudget(config.workers.restarts, config.workers.restart_window_s)
        self.pools = {one.label: WorkerPool(one.label, config.host.max_waiting, budget) for one in catalog.deployments}
        self.counts = {"submitted": 0, "ok": 0, "ng": 0, "error": 0, "refused": 0}
        limits = {one.label: memory_mb(config, one) * 1024 * 1024 for one in catalog.deployments}
        self.memory = MemoryWatch(limits, lambda: (one for pool in self.pools.values() for one in pool.supervisors))
        # What makes the station DEGRADED although its workers serve: kind and reason.
        self.problems: dict[str, str] = {}
        self.loop = LoopLag()
        self.in_flight = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._changed = asyncio.Event()
        self.started_at_s = monotonic_s()
        self._logs = WorkerLogs()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scratch = Path()

    async def start(self) -> None:
        """Make the segment and start the workers; StationError (3007) when the segment does not fit."""
        for name in segment.sweep(self.config.station):
            runner_log.warning("segment %s of a killed runner was removed", name)
            scratch.remove_of(name)
        self.segment = segment.create(self.config.station, self.config.slots, self.config.host.group)
        self.slots = SlotPool(self.segment.arena)
        self.journey = self._journey()
        self._scratch = scratch.make(self.segment.name)
        for deployment in self.catalog.deployments:
            pool = self.pools[deployment.label]
            plan, reporting = plan_of(self.config, deployment, self._scratch), self._reporting(pool)
            pool.supervisors += [Supervisor(plan, seat, reporting) for seat in range(1 + self.config.workers.standby)]
            pool.supervisors[0].start()
        for work in (self._look_around(), self.memory.run(), self.loop.run()):
            self._keep(work)

    def apply(self, config: StationConfig) -> None:
        """Go on with the settings of `config`; those that need a restart are the same in it (spec.md §11.24)."""
        self.config = config
        self.sessions.idle_s = config.session_idle_s
        self.journey = self._journey()
        for deployment in self.catalog.deployments:
            pool, limits = self.pools[deployment.label], config.workers
            pool.budget = replace(pool.budget, limit=limits.restarts, window_s=limits.restart_window_s)
            for one in pool.supervisors:
                one.plan = plan_of(config, deployment, self._scratch)

    def begin_again(self, deployment: str) -> bool:
        """Forget a deployment's failures and boot what gave up or waits; whether there was something to boot."""
        pool, limits = self.pools[deployment], self.config.workers
        pool.budget = RestartBudget(limits.restarts, limits.restart_window_s)
        begun = [one.begin_again() for one in pool.supervisors]
        return any(begun)

    def _journey(self) -> Journey:
        parts = Parts(self.slots, self.sessions, self.pools, self.tell_session_ended, self._keep_poison)
        return Journey(self.config, self.catalog, parts)

    async def stop(self) -> None:
        """Refuse, drain, stop workers, unlink the segment. Safe to call after a failed start."""
        if hasattr(self, "journey"):
            self.journey.open = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.timeouts.drain_s):
                    await self._drained.wait()
        for pool in self.pools.values():
            pool.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        supervisors = [one for pool in self.pools.values() for one in pool.supervisors]
        await asyncio.gather(*(supervisor.stop() for supervisor in supervisors))
        if hasattr(self, "segment"):
            self.segment.destroy()
            shutil.rmtree(self._scratch, ignore_errors=True)

    async def wait_ready(self) -> None:
        """Return when every deployment is READY or FATAL."""
        while any(self.health_of(name) is Health.DEGRADED and not self._usable(name) for name in self.pools):
            self._changed.clear()
            await self._changed.wait()

    def health_of(self, deployment: str) -> Health:
        pool = self.pools[deployment]
        return of_deployment((one.state for one in pool.supervisors), pool.budget.degraded)

    @property
    def health(self) -> Health:
        found = of_station((self.health_of(name), self._usable(name)) for name in self.pools)
        return Health.DEGRADED if found is Health.READY and self.problems else found

    def _usable(self, deployment: str) -> bool:
        return usable(one.state for one in self.pools[deployment].supervisors)

    def known_processes(self) -> Known:
        """The processes that are workers."""
        every = [one for pool in self.pools.values() for one in pool.supervisors]
        return Known(frozenset(pid for one in every for pid in one.os_pids), any(one.spawning for one in every))

    def boot_failure(self, deployment: str) -> ErrorReport | None:
        """Why a deployment cannot boot, when it cannot."""
        return next((one.boot_failure for one in self.pools[deployment].supervisors if one.boot_failure), None)

    def tell_session_ended(self, session: OpenSession) -> None:
        """Run reset on the workers that saw a session; in the background, nobody waits for it."""
        self._keep(self.reset(session))

    async def reset(self, session: OpenSession) -> None:
        """Run reset on the worker that saw a session; a failure is logged."""
        pool = self.pools[self.catalog.products[session.pid].label]
        try:
            supervisor = await pool.acquire(self.config.timeouts.queue_s)
            if supervisor.identity not in session.seen:
                pool.dispatch()
                return
            call = Call(
                request_id=f"reset/{session.id}",
                phase="reset",
                pid=session.pid,
                session=session.reference(supervisor.identity),
            )
            await supervisor.run(call, self.config.timeouts.execute_s)
        except ProcVisionError as error:
            runner_log.warning("session %s was not reset: %s", session.id, error.message)

    def _keep_poison(self, request: Inspect, slot: int, settle: Callable[[], None]) -> None:
        if self._poison_folder is None:
            settle()
        else:
            self._keep(self._write_poison(self._poison_folder, request, slot, settle))

    async def _write_poison(self, folder: Path, request: Inspect, slot: int, settle: Callable[[], None]) -> None:
        try:
            kept = await asyncio.to_thread(poison.keep, folder, request, self.segment.arena.slot(slot))
            runner_log.error("request %s ended two workers; kept in %s", request.request_id, kept)
        except OSError as error:
            runner_log.error("request %s ended two workers and could not be kept: %s", request.request_id, error)
        finally:
            settle()

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._guard_segment()
            for session in self.sessions.take_idle(monotonic_s()):
                self.tell_session_ended(session)

    def _guard_segment(self) -> None:
        held = self.segment.hold_name()
        if held is Name.RESTORED:
            runner_log.warning("segment %s had lost its name to somebody; it has it again", self.segment.name)
        elif held is Name.LOST and "segment" not in self.problems:
            self.problems["segment"] = f"{self.segment.name} was removed by somebody: start the station anew"
            runner_log.error("%s", self.problems["segment"])

    def _keep(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reporting(self, pool: WorkerPool) -> Reporting:
        def changed(worker: WorkerId, state: State, why: str) -> None:
            if state is State.STARTING:
                self.slots.worker_started(worker)
            if state in (State.FATAL, State.ABORTING, State.FAILING, State.BACKOFF):
                runner_log.warning("worker %s is %s %s", worker, state.value, why)
                pool.reconsider()
            if state in (State.READY, State.FATAL):
                self._changed.set()
            if state is State.READY:
                self.memory.look()  # what it has after its setup is what it is compared with
                self._start_standby(pool)
            else:
                pool.dispatch()
            self.events.publish("workers", {"worker": str(worker), "state": state.value, "why": why})

        return Reporting(
            number=pool.next_number,
            available=pool.dispatch,
            failed=pool.failed,
            succeeded=pool.succeeded,
            gone=self._worker_gone,
            log=lambda worker, data, call: self._logs.feed(str(worker), data, call),
            changed=changed,
            warned=self._worker_warned,
        )

    def _start_standby(self, pool: WorkerPool) -> None:
        """Once a worker serves, start those that stand by: never before it, and never into memory that is not there."""
        for one in pool.supervisors:
            if one.state is not State.STOPPED or not self.journey.open:
                continue
            needed = max(resident_bytes(other.os_pid) for other in pool.supervisors)
            free = psutil.virtual_memory().available
            if free < needed * _STANDBY_ROOM:
                text = "%s: no standby: %d bytes are free, a worker takes %d"
                runner_log.warning(text, pool.deployment, free, needed)
            else:
                one.start()

    def _worker_warned(self, worker: WorkerId, why: str) -> None:
        runner_log.warning("worker %s: %s", worker, why)
        self.events.publish("workers", {"worker": str(worker), "warning": why})

    def _worker_gone(self, worker: WorkerId) -> None:
        self.slots.worker_gone(worker)
        self.sessions.worker_gone(worker)
        self._logs.close(str(worker))

    async def inspect(self, owner: Hashable, ticket: Ticket) -> tuple[InspectionResult, bool]:
        """The result of one inspection, and whether it was accepted; counted: submitted = ok + ng + error + refused."""
        self.counts["submitted"] += 1
        self.in_flight += 1
        self._drained.clear()
        outcome = "error"
        try:
            result, accepted = await self.journey.inspect(owner, ticket)
            if accepted:
                result = await ticket.settle(result)
            if result.status == "OK":
                outcome = str(result.data.get("result_status", "ok")).lower()
            elif not accepted:
                outcome = "refused"
        finally:
            self.counts[outcome] += 1
            self.in_flight -= 1
            if not self.in_flight:
                self._drained.set()
        told = {"request_id": result.request_id, "pid": result.pid, "status": result.status, "outcome": outcome}
        self.events.publish("results", {**told, "error_code": result.error_code, "total_ms": result.timings.total})
        return result, accepted
