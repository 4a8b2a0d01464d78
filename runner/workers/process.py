"""One OS process around one algorithm: spawn, pump its pipes, kill its group, tell how it ended.

Runs on the event loop's thread, which is the main thread: the parent-death signal fires when the spawning *thread*
ends. Every pipe is drained while the child lives, and what is sent must be read within a limit. The end is told once,
when the process is reaped, its group is ended, and frames and log have all been read; a process outside the group that
holds one of the pipes open delays it by _DRAIN_S at most.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, cast

import psutil

from procvision_sdk.wire import framing
from runner.eager import read_in_small_pieces
from runner.workers.launch import LaunchPlan
from runner.workers.limit import Limit

# Nice of this session; empty for a process under which no session was ever begun, as in a container.
OWN_SESSION = Path("/proc/self/autogroup")
# After the exit, how long the last frames and lines may still be on their way through the pipes.
_DRAIN_S = 0.2


@dataclass(frozen=True, slots=True)
class ExitReason:
    """How a process ended: an exit code, or the name of the signal."""

    code: int

    def __str__(self) -> str:
        if self.code >= 0:
            return f"exit code {self.code}"
        try:
            return f"signal {signal.Signals(-self.code).name}"
        except ValueError:
            return f"signal {-self.code}"


class Listener(Protocol):
    """Who is told what the process says and how it ends; all calls come on the event loop."""

    def on_body(self, body: bytes) -> None: ...
    def on_bad_frame(self, reason: str) -> None: ...
    def on_log(self, data: bytes) -> None: ...
    def on_exit(self, reason: ExitReason) -> None: ...


class LastingThread(threading.Thread):
    """A thread that ends after the last process it started has been stopped."""


class _Output(asyncio.Protocol):
    """The pipe of the frames, for the process that writes to it."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def data_received(self, data: bytes) -> None:
        self._process.pipe_data_received(1, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._process.pipe_connection_lost(1, exc)


def _output_pipe() -> tuple[IO[bytes] | None, int]:
    """Our end of what the child writes frames to, and its end.

    A pipe of ours, where there can be one, is heard a turn of the loop earlier than one of asyncio's subprocess.
    """
    if sys.platform == "win32":
        return None, subprocess.PIPE
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", 0), writing


def _keep_standing(os_pid: int) -> None:
    """Linux: a session of its own begins as the equal of all others, also when its parent's is behind them."""
    if sys.platform == "linux":
        with suppress(OSError):
            _, _, nice = OWN_SESSION.read_text("ascii").strip().rpartition(" ")
            if nice not in ("", "0"):
                Path(f"/proc/{os_pid}/autogroup").write_text(nice, "ascii")


class WorkerProcess(asyncio.SubprocessProtocol):
    """One process: made first, then started, so that its listener knows it before its first word can come."""

    def __init__(self, plan: LaunchPlan, listener: Listener) -> None:
        self._plan = plan
        self._listener = listener
        self._decoder = framing.FrameDecoder()
        self._transport: asyncio.SubprocessTransport | None = None
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None
        # A process may say hello before asyncio has told of its pipes: the answer waits here.
        self._output_open = True
        self._pipes = {1, 2}
        self._unread: Limit | None = None
        self._exited = False
        self._told = False

    async def start(self) -> None:
        """Start it, once; OSError when the interpreter cannot be run.

        RuntimeError out of a thread that may end before the process: the system would end that with it.
        """
        thread = threading.current_thread()
        if thread is not threading.main_thread() and not isinstance(thread, LastingThread):
            raise RuntimeError(f"processes are started by the main thread, not by {thread.name}")
        self._plan.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        reading, stdout = _output_pipe()
        with ExitStack() as unheard:
            if reading is not None:
                unheard.callback(reading.close)
            try:
                await asyncio.get_running_loop().subprocess_exec(
                    lambda: self,
                    *self._plan.command,
                    cwd=self._plan.folder,
                    env=dict(self._plan.environment),
                    stdin=subprocess.PIPE,
                    stdout=stdout,
                    stderr=subprocess.PIPE,
                    start_new_session=sys.platform != "win32",
                )
            finally:
                if reading is not None:
                    os.close(stdout)
            _keep_standing(self.os_pid)
            if reading is not None:
                await self._hear(reading)
            unheard.pop_all()

    async def _hear(self, reading: IO[bytes]) -> None:
        """Not before its input is ours: what it says first is answered at once."""
        self._output, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _Output(self), reading)
        read_in_small_pieces(self._output)
        if self._told:
            self._output.close()

    @property
    def os_pid(self) -> int:
        """For logs and memory readings only, never an identity."""
        return self._transport.get_pid() if self._transport is not None else -1

    def send(self, body: bytes) -> None:
        """Queue a frame; writes at once when the pipe has room. RuntimeError before it has started."""
        if self._input is None:
            raise RuntimeError("a process was spoken to before it could hear")
        self._input.write(framing.encode(body))

    def kill(self) -> None:
        """End the process and what it started in its group, now; does nothing once it is gone."""
        if self._exited or self._transport is None:
            return
        if sys.platform == "win32":
            self._transport.kill()
            return
        with suppress(ProcessLookupError):
            os.killpg(self.os_pid, signal.SIGKILL)

    def wake(self) -> bool:
        """Let the process go on if something has stopped it (SIGSTOP); whether that was so."""
        if self._exited or sys.platform == "win32":
            return False
        try:
            stopped = psutil.Process(self.os_pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False
        if stopped:
            with suppress(ProcessLookupError):
                os.kill(self.os_pid, signal.SIGCONT)
        return stopped

    def show_stack(self) -> None:
        """Have the stacks of all threads written to stderr, native loops included (boot.py listens for SIGUSR1)."""
        if self._exited or sys.platform == "win32":
            return
        with suppress(ProcessLookupError):
            os.kill(self.os_pid, signal.SIGUSR1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._input = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._listener.on_log(data)
            return
        if not self._output_open:
            return
        bodies, too_long = self._decoder.feed(data)
        for body in bodies:
            self._listener.on_body(body)
        if too_long is not None:
            self._output_open = False
            self._listener.on_bad_frame(too_long.message)

    def pause_writing(self) -> None:
        """More waits to be read than the pipe and its buffer hold."""
        reason = f"it left what was sent to it unread for {self._plan.write_s} s"
        self._unread = Limit(lambda: self._listener.on_bad_frame(reason))
        self._unread.begin(self._plan.write_s)

    def resume_writing(self) -> None:
        self._end_unread()

    def _end_unread(self) -> None:
        if self._unread is not None:
            self._unread.close()
            self._unread = None

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self._pipes.discard(fd)
        if self._exited and not self._pipes:
            self._tell_end()

    def process_exited(self) -> None:
        self._exited = True
        self._end_unread()
        self._end_group()
        if self._pipes:
            asyncio.get_running_loop().call_later(_DRAIN_S, self._tell_end)
        else:
            self._tell_end()

    def _end_group(self) -> None:
        if sys.platform != "win32":
            with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
                os.killpg(self.os_pid, signal.SIGKILL)

    def _tell_end(self) -> None:
        if self._told or self._transport is None:
            return
        self._told = True
        code = self._transport.get_returncode()
        self._transport.close()
        if self._output is not None:
            self._output.close()
        self._listener.on_exit(ExitReason(code if code is not None else -1))
        # Whoever waits goes on first, with another worker.
        asyncio.get_running_loop().call_soon(shutil.rmtree, self._plan.scratch, True)
