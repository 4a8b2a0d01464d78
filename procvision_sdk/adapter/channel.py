"""The two protocol descriptors: frames in, frames out, and who reads while the main thread is inside a hook.

    main thread   next() -> reads when nothing waits; inside_hook() brackets each hook call
    watcher       takes over reading only once the main thread has been inside a hook for TAKE_OVER_AFTER_S

The hot path pays one uncontended lock for it and no thread hand-over. One limit of END_LIMIT_S counts from the end of
input, a closed reader or SIGTERM; who overruns it is ended hard (spec.md §4, shutdown).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from procvision_sdk.adapter.boot import EXIT_OVERRUN
from procvision_sdk.errors import ProcVisionError
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.dialogue import AdapterDialogue, EndOfInput, ProtocolMismatch
from procvision_sdk.wire.messages import Call, Message, Shutdown, refusal

# Half of the shortest heartbeat grace a host may ask for in earnest, and far above a usual inspection.
TAKE_OVER_AFTER_S = 0.25
END_LIMIT_S = 3.0
_READ_BYTES = 65_536


class _StopRequested(BaseException):
    """Raised by the SIGTERM handler, only while the main thread waits for a frame."""


class Channel:
    """One per process; every method but `watch` belongs to the main thread."""

    def __init__(self, reading: int, writing: int) -> None:
        self.dialogue = AdapterDialogue()
        self._reading, self._writing = reading, writing
        self._decoder = framing.FrameDecoder()
        self._backlog: deque[bytes] = deque()
        self._ears = threading.Lock()
        self._mouth = threading.Lock()
        self._inside_since: float | None = None
        self._waiting = False
        self._ended = False
        self._end_by: float | None = None

    def next(self) -> Call | Shutdown | EndOfInput | ProtocolMismatch:
        """What is to be done next; waits for it. Bodies are heard one at a time, so that order is the host's order."""
        while True:
            with self._ears:
                asked = self.dialogue.take()
                while asked is None and self._backlog:
                    self._hear(self._backlog.popleft())
                    asked = self.dialogue.take()
            if asked is not None:
                return asked
            self._wait_for_bytes()

    def send(self, messages: Iterable[Message]) -> None:
        """Write whole frames; when nobody reads any more, that is the end of input."""
        for message in messages:
            frame = memoryview(framing.encode(body.encode(_stamped(message))))
            with self._mouth:
                try:
                    while frame:
                        frame = frame[os.write(self._writing, frame) :]
                except OSError:
                    self._ended = True
                    self.dialogue.hear_end()
                    return

    @contextmanager
    def inside_hook(self) -> Iterator[None]:
        """While this is open the watcher may read, answer pings and notice the end."""
        self._inside_since = time.monotonic()
        try:
            yield
        finally:
            with self._ears:
                self._inside_since = None

    def limit_the_end(self) -> None:
        """From now on END_LIMIT_S are left, unless fewer are already."""
        if self._end_by is None:
            self._end_by = time.monotonic() + END_LIMIT_S

    def start_watcher(self) -> None:
        """Main thread, once: the watcher thread, and SIGTERM as the polite request to stop."""
        wake_reading, wake_writing = os.pipe() if sys.platform != "win32" else (-1, -1)
        if sys.platform != "win32":
            os.set_blocking(wake_writing, False)
            signal.set_wakeup_fd(wake_writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._watch, args=(wake_reading,), name="procvision-watcher", daemon=True).start()

    def _wait_for_bytes(self) -> None:
        if self._ended:
            self.dialogue.hear_end()
            return
        try:
            self._waiting = True
            data = os.read(self._reading, _READ_BYTES)
            self._waiting = False
        except _StopRequested:
            self._end()
            return
        except OSError:
            data = b""
        finally:
            self._waiting = False
        self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        if not data:
            self._end()
            return
        bodies, too_long = self._decoder.feed(data)
        self._backlog.extend(bodies)
        if too_long is not None:
            while self._backlog:
                self._hear(self._backlog.popleft())
            self.send([refusal(None, too_long.code, too_long.message, too_long.hint)])
            self._end()

    def _hear(self, raw_body: bytes) -> None:
        self.send(self.dialogue.hear(raw_body))

    def _end(self) -> None:
        self._ended = True
        while self._backlog:
            self._hear(self._backlog.popleft())
        self.dialogue.hear_end()

    def _on_sigterm(self, _signal: int, _frame: object) -> None:
        if self._waiting:
            raise _StopRequested
        self._ended = True
        self.dialogue.hear_end()

    def _watch(self, wake: int) -> None:
        while True:
            busy_since = self._inside_since
            listening = busy_since is not None and time.monotonic() - busy_since >= TAKE_OVER_AFTER_S
            readable, closed, woken = _look(self._reading if listening and not self._ended else -1, self._writing, wake)
            if woken or closed:
                self._ended = self._ended or closed
                self.limit_the_end()
            if closed:
                self.dialogue.hear_end()
            if readable:
                self._read_for_the_main_thread()
            if self._end_by is not None and time.monotonic() > self._end_by:
                os._exit(EXIT_OVERRUN)

    def _read_for_the_main_thread(self) -> None:
        with self._ears:
            if self._inside_since is None:
                return
            self._take_in(os.read(self._reading, _READ_BYTES))
            while self._backlog:
                self._hear(self._backlog.popleft())
        if self._ended:
            self.limit_the_end()


def _stamped(message: Message) -> dict[str, Any]:
    return {"timestamp_ms": int(time.time() * 1000), **message.to_wire()}


def _look(reading: int, writing: int, wake: int) -> tuple[bool, bool, bool]:
    """(frames can be read, the reader is gone, a signal came), after at most TAKE_OVER_AFTER_S."""
    if sys.platform == "win32":
        return _look_on_windows(reading)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(writing, 0)
    if reading >= 0:
        poll.register(reading, select.POLLIN)
    found = dict(poll.poll(TAKE_OVER_AFTER_S * 1000))
    if wake in found:
        os.read(wake, 64)
    if writing in found:
        time.sleep(TAKE_OVER_AFTER_S)  # a gone reader stays gone: poll would return at once for ever
    return reading in found, writing in found, wake in found


def _look_on_windows(reading: int) -> tuple[bool, bool, bool]:
    if sys.platform != "win32":
        raise ProcVisionError("asked for the Windows way elsewhere")
    import _winapi
    import msvcrt

    time.sleep(TAKE_OVER_AFTER_S)
    if reading < 0:
        return False, False, False
    try:
        available, _ = _winapi.PeekNamedPipe(msvcrt.get_osfhandle(reading))
    except OSError:
        return True, False, False
    return available > 0, False, False
