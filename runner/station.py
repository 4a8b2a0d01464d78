"""The whole runner without its socket: builds the parts, starts and stops them in order.

    sweep what a killed runner left -> segment -> workers ... refuse -> drain -> stop the workers -> unlink the segment

Used by the daemon, and in one process by `procvision run` and `validate`: the same slots, workers and validation.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Hashable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from procvision_sdk.errors import ProcVisionError
from procvision_sdk.wire.calls import Call
from procvision_sdk.wire.host_messages import Inspect
from runner import scratch
from runner.background import begin
from runner.clock import monotonic_s
from runner.config import StationConfig
from runner.crew import Crew, Duty, Watchers
from runner.events import Events
from runner.health import Health, of_station
from runner.journey import Journey, Parts
from runner.logs import runner_log
from runner.loop_lag import LoopLag
from runner.orphans import Known
from runner.results import poison
from runner.results.answers import AnswerBook
from runner.results.report import InspectionResult
from runner.routing.catalog import Catalog, Deployment
from runner.routing.router import route
from runner.sessions import OpenSession, SessionBook
from runner.slots import segment
from runner.slots.pool import SlotPool
from runner.slots.segment import Name
from runner.ticket import Ticket
from runner.worker_plan import memory_mb
from runner.workers.lifecycle import State
from runner.workers.memory import MemoryWatch
from runner.workers.worker import WorkerId

_LOOK_S = 1.0


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
        self.crews: dict[str, Crew] = {}
        # Deployments that go on although no product is theirs: on their way in, or kept to go back to.
        self.kept: frozenset[str] = frozenset()
        self.counts = {"submitted": 0, "ok": 0, "ng": 0, "error": 0, "refused": 0}
        self._limits: dict[str, int] = {}
        self._lives: dict[str, int] = {}
        self.memory = MemoryWatch(
            self._limits, lambda: (one for crew in self.crews.values() for one in crew.supervisors)
        )
        # What makes the station DEGRADED although its workers serve: kind and reason.
        self.problems: dict[str, str] = {}
        self.loop = LoopLag()
        self.in_flight = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._changed = asyncio.Event()
        self.started_at_s = monotonic_s()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scratch = Path()

    async def start(self) -> None:
        """Make the segment and start the workers; StationError (3007) when the segment does not fit."""
        for name in segment.sweep(self.config.station):
            runner_log.warning("segment %s of a killed runner was removed", name)
            scratch.remove_of(name)
        self.segment = segment.create(self.config.station, self.config.slots, self.config.host.group)
        self.slots = SlotPool(self.segment.arena)
        self._scratch = scratch.make(self.segment.name)
        for deployment in self.catalog.deployments:
            self._begin(deployment)
        self.journey = self._journey()
        for work in (self._look_around(), self.memory.run(), self.loop.run()):
            self._keep(work)

    def apply(self, config: StationConfig) -> None:
        """Go on with the settings of `config`; those that need a restart are the same in it (spec.md §11.24)."""
        self.config = config
        self.sessions.idle_s = config.session_idle_s
        self._begin_journey()
        for crew in self.crews.values():
            crew.apply(config)

    async def add(self, deployment: Deployment) -> Crew:
        """The workers of a deployment, started unless they are there; nothing is asked of them before `use`."""
        crew = self.crews.get(deployment.label)
        if crew is not None and crew.leaving:
            await crew.left.wait()
            crew = self.crews.get(deployment.label)
        if crew is None:
            crew = self._begin(deployment)
            self._begin_journey()
        return crew

    def use(self, found: Catalog) -> None:
        """From now on new requests and sessions follow this catalog; its deployments were added before."""
        self.catalog = found
        self._begin_journey()

    async def remove(self, label: str) -> None:
        """Stop the workers of a deployment that nobody needs any more; returns when they ended."""
        crew = self.crews.get(label)
        if crew is not None:
            await crew.stop()
        if crew is not None and self.crews.get(label) is crew:
            self._lives[label] = crew.pool.incarnations
            del self.crews[label], self._limits[label]
            self._begin_journey()
            self.events.publish("workers", {"worker": label, "state": "REMOVED", "why": "nothing is served by it"})

    def _begin(self, deployment: Deployment) -> Crew:
        watchers = Watchers(
            started=self.slots.worker_started,
            gone=self._worker_gone,
            changed=self._worker_changed,
            warned=self._worker_warned,
            serving=lambda: self.journey.open,
        )
        self._limits[deployment.label] = memory_mb(self.config, deployment) * 1024 * 1024
        crew = self.crews[deployment.label] = Crew(self.config, deployment, self._scratch, watchers)
        crew.pool.incarnations = self._lives.get(deployment.label, 0)
        crew.start()
        return crew

    def _begin_journey(self) -> None:
        fresh = self._journey()
        fresh.open = self.journey.open
        self.journey = fresh

    def _journey(self) -> Journey:
        staff = [(crew.deployment, crew.pool) for crew in self.crews.values()]
        ways = (self.tell_session_ended, self._keep_poison, lambda: self.journey)
        return Journey(self.config, self.catalog, Parts(self.slots, self.sessions, staff, *ways))

    async def stop(self) -> None:
        """Refuse, drain, stop workers, unlink the segment. Safe to call after a failed start."""
        if hasattr(self, "journey"):
            self.journey.open = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.timeouts.drain_s):
                    await self._drained.wait()
        for crew in self.crews.values():
            crew.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(crew.stop() for crew in self.crews.values()))
        if hasattr(self, "segment"):
            self.segment.destroy()
            shutil.rmtree(self._scratch, ignore_errors=True)

    async def wait_ready(self) -> None:
        """Return when every deployment is READY or FATAL."""
        while any(crew.health is Health.DEGRADED and not crew.usable for crew in self.serving):
            self._changed.clear()
            await self._changed.wait()

    @property
    def serving(self) -> list[Crew]:
        """The crews of the catalog, in its order."""
        return [self.crews[one.label] for one in self.catalog.deployments if one.label in self.crews]

    @property
    def health(self) -> Health:
        found = of_station((crew.health, crew.usable) for crew in self.serving)
        return Health.DEGRADED if found is Health.READY and self.problems else found

    def known_processes(self) -> Known:
        """The processes that are workers."""
        every = [one for crew in self.crews.values() for one in crew.supervisors]
        return Known(frozenset(pid for one in every for pid in one.os_pids), any(one.spawning for one in every))

    def open_session(self, pid: str, session_id: str | None, context: Mapping[str, Any]) -> str:
        """Begin one part's run on the deployment that serves the product now; the session's id."""
        return self.sessions.open(pid, route(self.catalog, pid).label, session_id, context).id

    def tell_session_ended(self, session: OpenSession) -> None:
        """Run reset on the workers that saw a session; in the background, nobody waits for it."""
        self._keep(self.reset(session))

    async def reset(self, session: OpenSession) -> None:
        """Run reset on the worker that saw a session; a failure is logged."""
        if session.deployment not in self.crews:
            return
        pool = self.crews[session.deployment].pool
        pool.inspecting += 1
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
        finally:
            pool.inspecting -= 1

    def _keep_poison(self, request: Inspect, slot: int, settle: Callable[[], None]) -> None:
        if self._poison_folder is None:
            settle()
        else:
            pixels = self.segment.arena.slot(slot)
            self._keep(poison.keep_and_settle(self._poison_folder, request, pixels, settle))

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self._guard_segment()
            for session in self.sessions.take_idle(monotonic_s()):
                self.tell_session_ended(session)
            for label, crew in self.crews.items():
                in_use = crew.pool.inspecting or self.sessions.any_on(label)
                if self.duty_of(crew) is Duty.DRAINING and not in_use and not crew.leaving:
                    crew.leaving = True
                    self._keep(self.remove(label))

    def duty_of(self, crew: Crew) -> Duty:
        """What a deployment is there for now."""
        if crew in self.serving:
            return Duty.SERVING
        return Duty.WARM if crew.deployment.label in self.kept else Duty.DRAINING

    def _guard_segment(self) -> None:
        held = self.segment.hold_name()
        if held is Name.RESTORED:
            runner_log.warning("segment %s had lost its name to somebody; it has it again", self.segment.name)
        elif held is Name.LOST and "segment" not in self.problems:
            self.problems["segment"] = f"{self.segment.name} was removed by somebody: start the station anew"
            runner_log.error("%s", self.problems["segment"])

    def _keep(self, work: Coroutine[object, object, None]) -> None:
        task = begin(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _worker_changed(self, worker: WorkerId, state: State, why: str) -> None:
        if state in (State.READY, State.FATAL):
            self._changed.set()
        if state is State.READY:
            self.memory.look()  # what it has after its setup is what it is compared with
        self.events.publish("workers", {"worker": str(worker), "state": state.value, "why": why})

    def _worker_warned(self, worker: WorkerId, why: str) -> None:
        runner_log.warning("worker %s: %s", worker, why)
        self.events.publish("workers", {"worker": str(worker), "warning": why})

    def _worker_gone(self, worker: WorkerId) -> None:
        self.slots.worker_gone(worker)
        self.sessions.worker_gone(worker)

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
        if self.events.wanted("results"):
            self._tell(result, outcome)
        return result, accepted

    def _tell(self, result: InspectionResult, outcome: str) -> None:
        told = {"request_id": result.request_id, "pid": result.pid, "status": result.status, "outcome": outcome}
        self.events.publish("results", {**told, "error_code": result.error_code, "total_ms": result.timings.total})
