"""Performs what the lifecycle table decides, with real processes and real time; the only place with timers and kills.

One supervisor per deployment and replica. A busy worker is judged by the deadline of its call, an idle one by its
pings; a worker that misses a deadline ends, and its late words are never heard (spec.md §7).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from procvision_sdk.errors import ErrorCode, ErrorReport, StationError
from procvision_sdk.wire.messages import Call, Result, RunnerHello
from runner.workers import launch
from runner.workers.lifecycle import (
    Action,
    Answered,
    AskToStop,
    Booted,
    BootFailed,
    CallSent,
    DelayOver,
    Distrusted,
    Event,
    Exited,
    Kill,
    Life,
    Offer,
    Spawn,
    Start,
    State,
    StopAsked,
    StopOverran,
    Wait,
    advance,
)
from runner.workers.process import ExitReason
from runner.workers.worker import BootError, OutOfTurnError, Worker, WorkerGoneError, WorkerId

# A view kept once may be an oversight in one code path; at the second the worker is replaced (spec.md §3).
MAX_KEPT_VIEWS = 2
# Between these two a worker goes with every call: nobody is told.
_SERVING = frozenset({State.READY, State.BUSY})


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """What one worker is made of: where its package and interpreter are, and its limits in seconds."""

    deployment: str
    folder: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    scratch_root: Path
    boot_s: float
    teardown_s: float
    hello: RunnerHello = field(default_factory=RunnerHello)
    heartbeat_misses: int = 3


@dataclass(frozen=True, slots=True)
class Reporting:
    """Whom a supervisor tells: each gets the worker it is about; none may block."""

    available: Callable[[Supervisor], None]
    gone: Callable[[WorkerId], None]
    log: Callable[[WorkerId, bytes, Call | None], None]
    changed: Callable[[WorkerId, State, str], None]


class Supervisor:
    """Keeps one worker alive. `run` is the only way to it."""

    def __init__(self, plan: WorkerPlan, replica: int, reporting: Reporting) -> None:
        self.plan = plan
        self.replica = replica
        self.life = Life()
        self._identity = WorkerId(plan.deployment, replica, 0)
        self.boot_failure: ErrorReport | None = None
        self.last_exit: ExitReason | None = None
        self.answered = 0
        self.setup_ms = 0.0
        self._reporting = reporting
        self._worker: Worker | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._boot: asyncio.Task[None] | None = None
        self._beat: asyncio.Task[None] | None = None
        self._kept_views = 0
        self._stopped = asyncio.Event()

    @property
    def identity(self) -> WorkerId:
        """Of the worker that lives now, or lived last."""
        return self._identity

    @property
    def state(self) -> State:
        """Where the lifecycle table put it last."""
        return self.life.state

    @property
    def os_pid(self) -> int:
        """Of the running process, for logs and memory readings; -1 when there is none."""
        return self._worker.os_pid if self._worker is not None else -1

    def start(self) -> None:
        """Begin, or begin again after FATAL."""
        if self.state in (State.STOPPED, State.FATAL):
            self.boot_failure = None
            self._beat = self._beat or asyncio.create_task(self._heartbeats())
            self._happened(Start())

    async def stop(self) -> None:
        """Ask, wait, kill, wait; returns when the process is reaped."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        self._stopped.clear()
        self._happened(StopAsked())
        await self._stopped.wait()

    async def run(self, call: Call, limit_s: float) -> Result:
        """The result of a call on this READY worker.

        StationError 1005 at the limit: the worker is ended, whatever it still says. StationError 1013 when it crashed
        or spoke out of turn.
        """
        worker = self._worker
        if worker is None or self.state is not State.READY:
            raise StationError(f"{self.identity} is {self.state.value}", code=ErrorCode.DEGRADED)
        self._happened(CallSent())
        timer = asyncio.get_running_loop().call_later(
            max(0.0, limit_s), worker.abandon, TimeoutError(f"no answer within {limit_s:.3f} s")
        )
        try:
            result = await worker.call(call)
        except TimeoutError as error:
            worker.show_stack()
            self._distrust(f"{call.phase}: {error}")
            raise StationError(
                f"{self.identity}: {error}", hint="it was ended; see its log", code=ErrorCode.TIMEOUT
            ) from None
        except (WorkerGoneError, OutOfTurnError) as error:
            if isinstance(error, OutOfTurnError):
                self._distrust(str(error))
            raise StationError(f"{self.identity}: {error}", code=ErrorCode.WORKER_CRASHED) from None
        finally:
            timer.cancel()
        self.answered += 1
        self._kept_views += result.kept_view
        self._happened(Answered(recycle=result.fatal or self._kept_views >= MAX_KEPT_VIEWS))
        return result

    def _distrust(self, why: str) -> None:
        if self.state in (State.READY, State.BUSY, State.STARTING):
            self._happened(Distrusted(), why)

    def _happened(self, event: Event, why: str = "") -> None:
        before = self.state
        self.life, actions = advance(self.life, event)
        if self.life.incarnation != self._identity.incarnation:
            self._identity = WorkerId(self.plan.deployment, self.replica, self.life.incarnation)
        if not {before, self.state} <= _SERVING:
            self._reporting.changed(self.identity, self.state, why)
        for action in actions:
            self._perform(action)
        if self.state is State.STOPPED:
            self._set_timer(None)
            self._stopped.set()

    def _perform(self, action: Action) -> None:
        loop = asyncio.get_running_loop()
        match action:
            case Spawn():
                self._boot = asyncio.create_task(self._boot_worker())
            case Offer():
                self._reporting.available(self)
            case AskToStop():
                self._ask_to_stop()
                self._set_timer(loop.call_later(self.plan.teardown_s, self._overran))
            case Kill():
                if self._worker is not None:
                    self._worker.abandon(WorkerGoneError("it was ended by the runner"))
                    self._worker.kill()
            case Wait(delay_s):
                self._set_timer(loop.call_later(delay_s, self._delay_over))

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _overran(self) -> None:
        if self.state in (State.STOPPING, State.RECYCLING):
            self._happened(StopOverran(), f"it did not end within {self.plan.teardown_s} s")

    def _delay_over(self) -> None:
        if self.state is State.BACKOFF:
            self._happened(DelayOver())

    def _ask_to_stop(self) -> None:
        if self._worker is None or self._worker.hello is None:
            if self._worker is not None:
                self._worker.abandon(WorkerGoneError("it was stopped before it said hello"))
                self._worker.kill()
            return
        self._worker.ask_to_stop()

    async def _boot_worker(self) -> None:
        """From spawn to READY, or to why not."""
        identity = self.identity
        worker = Worker(identity, lambda data: self._reporting.log(identity, data, worker.running), self._exited)
        self._worker, self._kept_views = worker, 0
        scratch = self.plan.scratch_root / f"{identity.deployment}-{identity.replica}-{identity.incarnation}"
        own = launch.environment(self.plan.environment, scratch, self.plan.folder)
        plan = launch.LaunchPlan(self.plan.command, self.plan.folder, own, scratch)
        try:
            async with asyncio.timeout(self.plan.boot_s):
                ready = await worker.boot(plan, self.plan.hello)
        except BootError as error:
            told = error.told
            trace = str(told.diagnostics.get("traceback", ""))
            self._cannot_boot(ErrorReport(told.error_code, told.message, told.hint, trace), told.recoverable)
        except TimeoutError:
            report = f"boot: not ready within {self.plan.boot_s} s; raise timeouts.boot_s if the model needs longer"
            self._cannot_boot(ErrorReport(ErrorCode.CANNOT_BOOT, report), recoverable=False)
        except OSError as error:
            message = f"{self.plan.command[0]} cannot be started: {error}"
            self._cannot_boot(ErrorReport(ErrorCode.CANNOT_BOOT, message), recoverable=False)
            self._exited(ExitReason(127))
        except OutOfTurnError as error:
            self._distrust(str(error))
        except WorkerGoneError:
            return  # its exit is told by the process itself
        else:
            if self.state is State.STARTING:
                self.boot_failure = None
                self.setup_ms = ready.setup_ms
                self._happened(Booted())

    def _cannot_boot(self, report: ErrorReport, recoverable: bool) -> None:
        self.boot_failure = report
        if self.state is State.STARTING:
            self._happened(BootFailed(recoverable), report.message)

    def _exited(self, reason: ExitReason) -> None:
        identity = self.identity
        self.last_exit = reason
        self._worker = None
        if self.state in (State.STOPPING, State.RECYCLING):
            self._set_timer(None)
        self._reporting.gone(identity)
        if self.state not in (State.STOPPED, State.BACKOFF, State.FATAL):
            self._happened(Exited(), str(reason))

    async def _heartbeats(self) -> None:
        """Ping the worker while it is idle; three misses in a row and it is not trusted any more."""
        interval_s, grace_s = self.plan.hello.heartbeat_interval_ms / 1000, self.plan.hello.heartbeat_grace_ms / 1000
        missed = 0
        while True:
            await asyncio.sleep(interval_s)
            worker = self._worker
            if worker is None or self.state is not State.READY:
                missed = 0
                continue
            try:
                async with asyncio.timeout(grace_s):
                    await worker.ping()
                missed = 0
            except TimeoutError:
                missed = missed + 1 if self._worker is worker and self.state is State.READY else 0
            except (WorkerGoneError, OutOfTurnError):
                missed = 0
            if missed >= self.plan.heartbeat_misses:
                missed = 0
                self._distrust(f"{self.plan.heartbeat_misses} pings unanswered while idle")
