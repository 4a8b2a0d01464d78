"""Performs what the lifecycle table decides, with real processes and real time; the only place with timers and kills.

One supervisor per deployment and replica. A busy worker is judged by the deadline of its call, an idle one by its
pings; a worker that misses a deadline ends, and its late words are never heard (spec.md §7).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from procvision_sdk.errors import ErrorCode, ErrorReport, StationError
from procvision_sdk.wire.calls import Call, Result
from runner.background import begin
from runner.workers import lifecycle
from runner.workers.booting import CannotBootError, boot
from runner.workers.ending import Ending
from runner.workers.heartbeat import Heard, beat, with_stall
from runner.workers.lifecycle import Life, State, advance
from runner.workers.limit import CrashError, HangError, Limit
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.process import ExitReason
from runner.workers.worker import MemoryExceededError, OutOfTurnError, Worker, WorkerGoneError, WorkerId

# A view kept once may be an oversight in one code path; at the second the worker is replaced (spec.md §3).
MAX_KEPT_VIEWS = 2
# spec.md §1.5: setup asked for another try; at once would be the same try.
RECOVERABLE_S = 1.0
# Between these two a worker goes with every call: nobody is told.
_SERVING = frozenset({State.READY, State.BUSY})
_CALL_SENT, _ANSWERED, _LAST_ANSWER = lifecycle.CallSent(), lifecycle.Answered(False), lifecycle.Answered(True)


class Supervisor:
    """Keeps one worker alive. `run` is the only way to it."""

    def __init__(self, plan: WorkerPlan, replica: int, reporting: Reporting) -> None:
        self.plan = plan
        self.replica = replica
        self.life = Life()
        self._identity = WorkerId(plan.deployment, replica, 0)
        self.boot_failure: ErrorReport | None = None
        self.last_exit: ExitReason | None = None
        self.setup_ms = 0.0
        self.answered = self.gil_stalls = self.woken = self.rough_ends = self.kept_views = 0
        self.ending = Ending(plan.kill_s, self._outlived)
        self._reporting = reporting
        self._worker: Worker | None = None
        self._recoverable = False
        self._timer: asyncio.TimerHandle | None = None
        self._boot: asyncio.Task[None] | None = None
        self._beat: asyncio.Task[None] | None = None
        self._kept_views = 0
        self._worn = False
        self._stopped = asyncio.Event()
        self._limit = Limit(self._give_up_call)

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

    @property
    def scratch(self) -> Path:
        """The private folder of the worker that lives now, or lived last."""
        return self.plan.scratch_of(self.identity)

    @property
    def os_pids(self) -> list[int]:
        """Of the running process, and of those that were given up and still are there."""
        return [os_pid for os_pid in (self.os_pid, *(one.os_pid for one in self.ending.outliving)) if os_pid > 0]

    @property
    def spawning(self) -> bool:
        """Whether a process is being started and its id is not known yet."""
        return self._worker is not None and self._worker.os_pid < 0

    def start(self) -> None:
        """Begin, or begin again after FATAL."""
        if self.state in (State.STOPPED, State.FATAL):
            self.boot_failure = None
            heard = Heard(self._pinged_worker, self._distrust, self._woken)
            self._beat = self._beat or begin(beat(self.plan, heard))
            self._happened(lifecycle.Start())

    def begin_again(self) -> bool:
        """Boot now, after FATAL or in the middle of a back-off; whether there was such a thing (spec.md §11.24)."""
        before = self.state
        if before is State.FATAL:
            self.start()
        if before is State.BACKOFF:
            self._set_timer(None)
            self._delay_over()
        return self.state is not before

    async def stop(self) -> None:
        """Ask, wait, kill, wait; returns when the process is reaped."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None
        self._stopped.clear()
        self._happened(lifecycle.StopAsked())
        await self._stopped.wait()

    async def run(self, call: Call, limit_s: float) -> Result:
        """The result of a call on this READY worker.

        StationError 1005 at the limit: the worker is ended, whatever it still says. StationError 1013 when it crashed
        or spoke out of turn.
        """
        worker = self._worker
        if worker is None or self.state is not State.READY:
            raise StationError(f"{self.identity} is {self.state.value}", code=ErrorCode.DEGRADED)
        identity = self.identity
        self._happened(_CALL_SENT)
        self._limit.begin(limit_s)
        try:
            result = await worker.call(call)
        except TimeoutError as error:
            reason = f"{error} within {limit_s:.3f} s"
            stack = await self._overran_call(f"{call.phase}: {reason}", limit_s)
            raise HangError(f"{identity}: {reason}", stack) from None
        except MemoryExceededError as error:
            raise StationError(f"{identity}: {error}", code=ErrorCode.MEMORY_EXCEEDED) from None
        except (WorkerGoneError, OutOfTurnError) as error:
            stack = error.stack if isinstance(error, WorkerGoneError) else ""
            raise CrashError(f"{identity}: {error}", stack) from None
        finally:
            self._limit.end()
        self.answered += 1
        self._kept_views += result.kept_view
        self.kept_views += result.kept_view
        if why := self._reporting.succeeded(call, result):
            self._reporting.warned(identity, why)
        worn = result.fatal or self._worn or self._kept_views >= MAX_KEPT_VIEWS
        self._happened(_LAST_ANSWER if worn or worker.abandoned else _ANSWERED)
        silence_ms = worker.longest_silence_s() * 1000
        if silence_ms <= self.plan.hello.heartbeat_grace_ms:
            return result
        self.gil_stalls += 1
        self._reporting.warned(identity, f"gil_stall: it answered no ping for {silence_ms:.0f} ms of a call")
        return with_stall(result, silence_ms)

    def _give_up_call(self) -> None:
        if self._worker is not None:
            self._worker.abandon(TimeoutError("no answer"))

    def recycle_when_idle(self, why: str) -> None:
        """Replace this worker by a planned stop: now when it is idle, after its call when it is busy."""
        self._worn = True
        if self.state is State.READY:
            self._happened(lifecycle.Worn(), why)

    def end_for_memory(self, why: str) -> None:
        """End this worker now; a running call is answered 1012."""
        if self._worker is not None and self.state in (State.READY, State.BUSY):
            self._worker.abandon(MemoryExceededError(why))
            self._happened(lifecycle.Distrusted(), why)

    async def _overran_call(self, why: str, limit_s: float) -> str:
        """Begin the end of a hang; its stack when that comes soon enough for the answer not to be late."""
        if self.state is not State.BUSY:
            return ""
        self._happened(lifecycle.Overran(), why)
        return await self.ending.stack(min(self.plan.margin_s, limit_s))

    def _distrust(self, worker: Worker, why: str) -> None:
        if worker is self._worker and self.state in (State.READY, State.BUSY, State.STARTING):
            self._happened(lifecycle.Distrusted(), why)

    def _happened(self, event: lifecycle.Event, why: str = "") -> None:
        before = self.life
        after, actions = advance(before, event)
        self.life = after
        if after.incarnation != before.incarnation:
            self._identity = WorkerId(self.plan.deployment, self.replica, self._reporting.number())
        if before.state not in _SERVING or after.state not in _SERVING:
            self._reporting.changed(self.identity, after.state, why)
        for action in actions:
            self._perform(action)
        if self.state is State.STOPPED:
            self._set_timer(None)
            self._limit.close()
            self._stopped.set()

    def _perform(self, action: lifecycle.Action) -> None:
        loop = asyncio.get_running_loop()
        match action:
            case lifecycle.Offer():
                self._reporting.available()
            case lifecycle.Spawn():
                self._boot = begin(self._boot_worker())
            case lifecycle.AskToStop():
                self._ask_to_stop()
                self._set_timer(loop.call_later(self.plan.teardown_s, self._overran))
            case lifecycle.TakeStack():
                if self._worker is not None:
                    self.ending.kill_with_stack(self._worker)
            case lifecycle.Kill():
                if self._worker is not None:
                    self._worker.abandon(WorkerGoneError("it was ended by the runner"))
                    self.ending.kill(self._worker)
            case lifecycle.Wait(delay_s):
                self._set_timer(loop.call_later(delay_s, self._delay_over))

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _overran(self) -> None:
        if self.state in (State.STOPPING, State.RECYCLING):
            self._happened(lifecycle.StopOverran(), f"it did not end within {self.plan.teardown_s} s")

    def _delay_over(self) -> None:
        if self.state is State.BACKOFF:
            self._happened(lifecycle.DelayOver())

    def _ask_to_stop(self) -> None:
        worker = self._worker
        if worker is not None and worker.hello is not None:
            worker.ask_to_stop()
        elif worker is not None:
            worker.abandon(WorkerGoneError("it was stopped before it said hello"))
            worker.kill()  # the limit of the polite stop goes on

    async def _boot_worker(self) -> None:
        identity = self.identity
        worker = Worker(
            identity,
            lambda data: self._reporting.log(identity, data, worker.running),
            lambda reason: self._exited(worker, reason),
            lambda why: self._distrust(worker, why),
        )
        self._worker, self._kept_views, self._worn, self._recoverable = worker, 0, False, False
        try:
            ready = await boot(worker, self.plan)
        except CannotBootError as error:
            self._cannot_boot(error)
            if not error.started:
                self._exited(worker, ExitReason(127))
        except (WorkerGoneError, OutOfTurnError):
            return  # it is told by the worker itself
        else:
            if self.state is State.STARTING:
                self.boot_failure = None
                self.setup_ms = ready.setup_ms
                self._happened(lifecycle.Booted())

    def _cannot_boot(self, error: CannotBootError) -> None:
        self.boot_failure, self._recoverable = error.report, error.recoverable
        if self.state is State.STARTING:
            self._happened(lifecycle.BootFailed(error.recoverable), error.report.message)

    def _exited(self, worker: Worker, reason: ExitReason) -> None:
        self._reporting.gone(worker.identity)
        if self.ending.ended(worker):
            self._reporting.warned(worker.identity, f"the process that was given up is gone: {reason}")
        if worker is self._worker:
            self.last_exit = reason
            if self.state in (State.STOPPING, State.RECYCLING):
                self.rough_ends += reason.code != 0
            self._go_on(lifecycle.Exited(), str(reason))

    def _outlived(self, worker: Worker) -> None:
        why = f"process {worker.os_pid} did not end within {self.plan.kill_s} s of SIGKILL and is given up"
        self._reporting.warned(worker.identity, why)
        if worker is self._worker:
            self._go_on(lifecycle.Outlived(), why)

    def _go_on(self, event: lifecycle.Exited | lifecycle.Outlived, why: str) -> None:
        """Without the worker; an end that nobody asked for is paid out of the restart budget."""
        self._worker = None
        self._set_timer(None)
        if self.state in (State.STOPPING, State.RECYCLING, State.FAILING):
            self._happened(event, why)
        elif self.state not in (State.STOPPED, State.BACKOFF, State.FATAL):
            delay_s = max(self._reporting.failed(), RECOVERABLE_S if self._recoverable else 0.0)
            self._happened(replace(event, delay_s=delay_s), why)

    def _pinged_worker(self) -> tuple[Worker, bool] | None:
        """Who is pinged, and whether it is idle: only then a missing pong is held against it."""
        return (self._worker, self.state is State.READY) if self._worker and self.state in _SERVING else None

    def _woken(self, worker: Worker) -> None:
        self.woken += 1
        self._reporting.warned(worker.identity, "something had stopped it (SIGSTOP); it was let go on")
