"""One incarnation and the conversation with it: handshake, one call at a time, each with its limit (spec.md §4).

Identity is (deployment, replica, incarnation). What it says after it was given up is not heard: `abandon` ends every
wait with the reason, and nothing reaches anybody after that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from procvision_sdk.errors import MAX_TRACEBACK_BYTES, ErrorCode, ProcVisionError, cut
from procvision_sdk.wire.calls import Call, Result
from procvision_sdk.wire.dialogue import FromRunner, RunnerDialogue, Told
from procvision_sdk.wire.messages import (
    PROTOCOL_VERSION,
    AdapterHello,
    ErrorMessage,
    Ping,
    Pong,
    Ready,
    RunnerHello,
    Shutdown,
)
from runner.clock import monotonic_s
from runner.eager import Reply
from runner.workers.launch import LaunchPlan
from runner.workers.process import ExitReason, WorkerProcess

# A stack is written in one go: when nothing more came for this long, it is complete.
_STACK_QUIET_S = 0.005

# A crash writes its stack last; so much of what came last is looked at for it.
_TAIL_BYTES = 16_384
_CRASH = b"Fatal Python error"

_OWN_MAJOR = int(PROTOCOL_VERSION.partition(".")[0])
_SPOKEN_MAJORS = frozenset({str(_OWN_MAJOR), str(_OWN_MAJOR - 1)})


class WorkerId(NamedTuple):
    """Who was asked. A process id is never an identity."""

    deployment: str
    replica: int
    incarnation: int

    def __str__(self) -> str:
        return f"{self.deployment}#{self.replica}.{self.incarnation}"


class WorkerGoneError(Exception):
    """The process ended before it answered; `stack` is where, when it could still say so."""

    def __init__(self, message: str, stack: str = "") -> None:
        super().__init__(message)
        self.stack = stack


class MemoryExceededError(WorkerGoneError):
    """It took more memory than its limit and was ended for it."""


class OutOfTurnError(Exception):
    """It said what it may not say; nothing it says is believed any more."""


class BootError(Exception):
    """It said that it cannot boot, and why."""

    def __init__(self, told: ErrorMessage) -> None:
        super().__init__(told.message)
        self.told = told


class Worker:
    """The runner's end of one process. All methods run on the event loop."""

    def __init__(
        self,
        identity: WorkerId,
        on_log: Callable[[bytes], None],
        on_exit: Callable[[ExitReason], None],
        on_broken: Callable[[str], None],
    ) -> None:
        """`on_broken` is told why nothing it says can be believed any more; it is ended by then."""
        self.identity = identity
        self.running: Call | None = None
        self.hello: AdapterHello | None = None
        self.exit: ExitReason | None = None
        self._dialogue = RunnerDialogue()
        self._process: WorkerProcess | None = None
        self._on_log, self._on_exit, self._on_broken = on_log, on_exit, on_broken
        self._answer: Reply[Told] | None = None
        self._pong: asyncio.Future[Told] | None = None
        self._own_hello = RunnerHello()
        self._abandoned = False
        self._stack: bytearray | None = None
        self._tail = b""
        self._pinged_at_s: float | None = None
        self._silent_s = 0.0

    async def boot(self, plan: LaunchPlan, hello: RunnerHello) -> Ready:
        """Start the process, answer its hello, wait for ready; else BootError, WorkerGoneError or OutOfTurnError."""
        self._own_hello = hello
        self._answer = Reply()
        self._process = WorkerProcess(plan, self)
        await self._process.start()
        if self._abandoned:
            self._process.kill()
        message = await self._answer
        if isinstance(message, ErrorMessage):
            raise BootError(message)
        assert isinstance(message, Ready)
        return message

    async def call(self, call: Call) -> Result:
        """The one answer to a call; the caller sets the limit. WorkerGoneError or OutOfTurnError end the wait."""
        self._answer = Reply()
        self.running = call
        self._silent_s = 0.0
        self._say(call)
        message = await self._answer
        assert isinstance(message, Result)
        self.running = None
        return message

    async def ping(self) -> None:
        """Return when the pong came."""
        self._pong = asyncio.get_running_loop().create_future()
        self.ask_for_pong()
        await self._pong

    def ask_for_pong(self) -> None:
        """Ping without waiting; not once more while one is unanswered."""
        if self._pinged_at_s is None:
            self._pinged_at_s = monotonic_s()
            self._say(Ping())

    def longest_silence_s(self) -> float:
        """How long a ping waited for its pong during the last call, at most."""
        waiting_s = monotonic_s() - self._pinged_at_s if self._pinged_at_s is not None else 0.0
        return max(self._silent_s, waiting_s)

    def ask_to_stop(self) -> None:
        self._say(Shutdown(request_id="stop"))

    def abandon(self, reason: Exception) -> None:
        """From now on nothing it says is heard; whoever waits gets `reason`."""
        self._abandoned = True
        for waiting in (self._answer, self._pong):
            if waiting is not None and not waiting.done():
                waiting.set_exception(reason)
                waiting.exception()  # a wait that nobody awaits any more is not an error of its own

    async def take_stack(self, limit_s: float) -> str:
        """The stacks of all threads as the process writes them to stderr, "" when none came within the limit."""
        if self._process is None:
            return ""
        self._stack = bytearray()
        self._process.show_stack()
        began_s = monotonic_s()
        seen = 0
        while (waited_s := monotonic_s() - began_s) < limit_s and self.exit is None:
            await asyncio.sleep(min(_STACK_QUIET_S, limit_s - waited_s))
            if seen and seen == len(self._stack):
                break
            seen = len(self._stack)
        return cut(self._stack.decode("utf-8", "backslashreplace"), MAX_TRACEBACK_BYTES)

    def wake(self) -> bool:
        """Let it go on if something has stopped it; whether that was so."""
        return self._process is not None and self._process.wake()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    @property
    def abandoned(self) -> bool:
        """Whether nothing it says is heard any more."""
        return self._abandoned

    @property
    def os_pid(self) -> int:
        return self._process.os_pid if self._process is not None else -1

    def on_body(self, body: bytes) -> None:
        if self._abandoned:
            return
        try:
            message = self._dialogue.hear(body)
        except ProcVisionError as error:
            self.on_bad_frame(error.message)
            return
        if isinstance(message, AdapterHello):
            self._greet(message)
            return
        if isinstance(message, Pong):
            self._silent_s, self._pinged_at_s = self.longest_silence_s(), None
        waiting = self._pong if isinstance(message, Pong) else self._answer
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _greet(self, hello: AdapterHello) -> None:
        """Answer a hello of this MAJOR or the one before; another one cannot be served, whoever is the older."""
        self.hello = hello
        major = hello.protocol_version.partition(".")[0]
        if major in _SPOKEN_MAJORS:
            self._say(self._own_hello)
            return
        message = f"the adapter speaks protocol {hello.protocol_version}, this runner {PROTOCOL_VERSION}"
        hint = "install a procvision-sdk of this runner's version beside the algorithm"
        self.abandon(BootError(ErrorMessage(message=message, error_code=ErrorCode.CANNOT_BOOT, hint=hint)))

    def on_bad_frame(self, reason: str) -> None:
        self.abandon(OutOfTurnError(reason))
        self.kill()
        self._on_broken(reason)

    def on_log(self, data: bytes) -> None:
        if self._stack is not None and len(self._stack) < MAX_TRACEBACK_BYTES * 4:
            self._stack += data
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self._on_log(data)

    def on_exit(self, reason: ExitReason) -> None:
        self.exit = reason
        stack = self._tail[self._tail.find(_CRASH) :] if _CRASH in self._tail else b""
        told = cut(stack.decode("utf-8", "backslashreplace"), MAX_TRACEBACK_BYTES)
        self.abandon(WorkerGoneError(f"the algorithm process ended by itself: {reason}", told))
        self._on_exit(reason)

    def _say(self, message: FromRunner) -> None:
        body = self._dialogue.say(message)
        if self._process is not None:
            self._process.send(body)
