"""Performs what the lifecycle table decides, with real processes and real time; the only place with timers and kills.

One supervisor per deployment and replica. A busy worker is judged by the deadline of its call, an idle one by its
pings; a worker that misses a deadline ends, and its late words are never heard (spec.md §7).
"""

from __future__ import annotations

import asyncio
import errno

from procvision_sdk.errors import ErrorCode, ErrorReport, StationError
from procvision_sdk.wire.messages import Call, Result
from runner.workers import launch
from runner.workers.heartbeat import judge_idle
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
    Overran,
    Spawn,
    Start,
    State,
    StopAsked,
    StopOverran,
    TakeStack,
    Wait,
    Worn,
    advance,
)
from runner.workers.limit import HangError, Limit
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.process import ExitReason
from runner.workers.worker import BootError, MemoryExceededError, OutOfTurnError, Worker, WorkerGoneError, WorkerId

# A view kept once may be an oversight in one code path; at the second the worker is replaced (spec.md §3).
MAX_KEPT_VIEWS = 2
# spec.md §7.3: how long the stack of a hang is waited for before the kill, and before the answer.
STACK_S = 0.2
STACK_IN_ANSWER_S = 0.02
# spec.md §1.5: setup asked for another try; at once would be the same try.
RECOVERABLE_S = 1.0
# No process can be had now: not the package's fault, and it passes.
_MACHINE_IS_SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC})
# Between these two a worker goes with every call: nobody is told.
_SERVING = frozenset({State.READY, State.BUSY})
_CALL_SENT, _ANSWERED, _LAST_ANSWER = CallSent(), Answered(recycle=False), Answered(recycle=True)


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
        self.rough_ends = 0
        self.setup_ms = 0.0
        self._reporting = reporting
        self._worker: Worker | None = None
        self._ending: asyncio.Task[str] | None = None
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
    def spawning(self) -> bool:
        """Whether a process is being started and its id is not known yet."""
        return self._worker is not None and self._worker.os_pid < 0

    def start(self) -> None:
        """Begin, or begin again after FATAL."""
        if self.state in (State.STOPPED, State.FATAL):
            self.boot_failure = None
            self._beat = self._beat or asyncio.create_task(judge_idle(self.plan, self._idle_worker, self._distrust))
            self._happened(Start())

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
        identity = self.identity
        self._happened(_CALL_SENT)
        self._limit.begin(limit_s)
        try:
            result = await worker.call(call)
        except TimeoutError as error:
            reason = f"{error} within {limit_s:.3f} s"
            stack = await self._overran_call(f"{call.phase}: {reason}")
            raise HangError(f"{identity}: {reason}", stack) from None
        except MemoryExceededError as error:
            raise StationError(f"{identity}: {error}", code=ErrorCode.MEMORY_EXCEEDED) from None
        except (WorkerGoneError, OutOfTurnError) as error:
            if isinstance(error, OutOfTurnError):
                self._distrust(str(error))
            raise StationError(f"{identity}: {error}", code=ErrorCode.WORKER_CRASHED) from None
        finally:
            self._limit.end()
        self.answered += 1
        self._kept_views += result.kept_view
        self._reporting.succeeded()
        worn = result.fatal or self._worn or self._kept_views >= MAX_KEPT_VIEWS
        self._happened(_LAST_ANSWER if worn or worker.abandoned else _ANSWERED)
        return result

    def _give_up_call(self) -> None:
        if self._worker is not None:
            self._worker.abandon(TimeoutError("no answer"))

    def recycle_when_idle(self, why: str) -> None:
        """Replace this worker by a planned stop: now when it is idle, after its call when it is busy."""
        self._worn = True
        if self.state is State.READY:
            self._happened(Worn(), why)

    def end_for_memory(self, why: str) -> None:
        """End this worker now; a running call is answered 1012."""
        if self._worker is not None and self.state in (State.READY, State.BUSY):
            self._worker.abandon(MemoryExceededError(why))
            self._happened(Distrusted(), why)

    async def _overran_call(self, why: str) -> str:
        """Begin the end of a hang; its stack when that comes at once, so that the answer is not late for it."""
        if self.state is not State.BUSY:
            return ""
        self._happened(Overran(), why)
        if self._ending is None:
            return ""
        done, _ = await asyncio.wait({self._ending}, timeout=STACK_IN_ANSWER_S)
        return done.pop().result() if done else ""

    def _distrust(self, why: str) -> None:
        if self.state in (State.READY, State.BUSY, State.STARTING):
            self._happened(Distrusted(), why)

    def _happened(self, event: Event, why: str = "") -> None:
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

    def _perform(self, action: Action) -> None:
        loop = asyncio.get_running_loop()
        match action:
            case Spawn():
                self._boot = asyncio.create_task(self._boot_worker())
            case Offer():
                self._reporting.available()
            case AskToStop():
                self._ask_to_stop()
                self._set_timer(loop.call_later(self.plan.teardown_s, self._overran))
            case TakeStack():
                self._ending = asyncio.create_task(self._end_hang())
            case Kill():
                if self._worker is not None:
                    self._worker.abandon(WorkerGoneError("it was ended by the runner"))
                    self._worker.kill()
            case Wait(delay_s):
                self._set_timer(loop.call_later(delay_s, self._delay_over))

    async def _end_hang(self) -> str:
        """The stack of the hang, at most STACK_S later; then the process group is ended."""
        worker = self._worker
        if worker is None:
            return ""
        stack = await worker.take_stack(STACK_S)
        worker.kill()
        return stack

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
        self._worker, self._kept_views, self._worn, self._recoverable = worker, 0, False, False
        scratch = self.plan.scratch_root / f"{identity.deployment}-{identity.replica}-{identity.incarnation}"
        own = launch.environment(self.plan.environment, scratch, self.plan.folder)
        plan = launch.LaunchPlan(self.plan.command, self.plan.folder, own, scratch)
        limit = Limit(lambda: worker.abandon(TimeoutError("boot")))
        limit.begin(self.plan.boot_s)
        try:
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
            self._cannot_boot(ErrorReport(ErrorCode.CANNOT_BOOT, message), error.errno in _MACHINE_IS_SHORT)
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
        finally:
            limit.close()

    def _cannot_boot(self, report: ErrorReport, recoverable: bool) -> None:
        self.boot_failure, self._recoverable = report, recoverable
        if self.state is State.STARTING:
            self._happened(BootFailed(recoverable), report.message)

    def _exited(self, reason: ExitReason) -> None:
        identity = self.identity
        self.last_exit = reason
        self._worker = None
        if self.state in (State.STOPPING, State.RECYCLING):
            self._set_timer(None)
            self.rough_ends += reason.code != 0
        self._reporting.gone(identity)
        if self.state in (State.STOPPING, State.RECYCLING, State.FAILING):
            self._happened(Exited(), str(reason))
        elif self.state not in (State.STOPPED, State.BACKOFF, State.FATAL):
            delay_s = self._reporting.failed()
            self._happened(Exited(max(delay_s, RECOVERABLE_S) if self._recoverable else delay_s), str(reason))

    def _idle_worker(self) -> Worker | None:
        return self._worker if self.state is State.READY else None
