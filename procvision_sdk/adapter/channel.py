"""The two protocol descriptors: frames in, frames out, and who reads while the main thread is inside a hook.

    main thread   next() -> reads when nothing waits; inside_hook() brackets each hook call
    watcher       reads instead, once the main thread is inside a hook and has not read for TAKE_OVER_AFTER_S

The hot path pays two uncontended locks for it and no thread hand-over. One limit of END_LIMIT_S counts from the end of
input, a closed reader or SIGTERM; who overruns it is ended hard (spec.md §4, shutdown).

What carries the protocol is bound here by name: an algorithm that replaces os.write does not reach it.
The signal handler takes no lock and touches no dialogue: it leaves a flag and a byte, the main thread does the rest.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from os import _exit, read, write
from time import monotonic, sleep
from time import time as wall_s

from procvision_sdk.adapter.boot import EXIT_OK, EXIT_OVERRUN, move_away
from procvision_sdk.wire import framing
from procvision_sdk.wire.dialogue import AdapterDialogue, Asked, End, Told

if sys.platform != "win32":
    from select import POLLIN, POLLNVAL, poll

# Half of the shortest heartbeat grace a host may ask for in earnest, and far above a usual inspection.
TAKE_OVER_AFTER_S = 0.25
END_LIMIT_S = 3.0
_READ_BYTES = 65_536


class Channel:
    """One per process; every method but `_watch` and what it calls belongs to the main thread."""

    def __init__(self, reading: int, writing: int) -> None:
        self.dialogue = AdapterDialogue()
        self.broken = False  # the algorithm closed our descriptors: they fail in a way no other side can cause
        self._reading, self._writing = reading, writing
        self._decoder = framing.FrameDecoder()
        self._ears, self._mouth = threading.Lock(), threading.Lock()
        self._inside = self._disowned = False
        self._forking = threading.local()
        self._ended = self._reader_gone = self._stop_asked = False
        self._heard_at_s = monotonic()
        self._end_by_s: float | None = None
        # Written to, never read out: from the request to stop on, the main thread's wait is over at once.
        self._stop_reading, self._stop_writing = _pipe()
        self._wake_reading, self._wake_writing = _pipe()
        if sys.platform != "win32":
            for descriptor in (reading, writing):
                os.set_blocking(descriptor, True)
            for descriptor in (self._stop_writing, self._wake_reading, self._wake_writing):
                os.set_blocking(descriptor, False)
            waiting = poll()
            waiting.register(reading, POLLIN)
            waiting.register(self._stop_reading, POLLIN)
            self._wait = waiting.poll

    def start(self) -> None:
        """Main thread, once: the watcher, SIGTERM as the polite request to stop, and forked children kept out."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        if sys.platform != "win32":
            # Tells the watcher of a signal also while the main thread is in native code, where no handler runs.
            signal.set_wakeup_fd(self._wake_writing, warn_on_full_buffer=False)
            os.register_at_fork(
                before=self._hold_sigterm, after_in_parent=self._let_sigterm_through, after_in_child=self._disown
            )
        threading.Thread(target=self._watch, name="procvision-watcher", daemon=True).start()

    def next(self) -> Asked | End:
        """What is to be done next; waits for it."""
        while True:
            with self._ears:
                if self._stop_asked:
                    self.send(self.dialogue.stop())
                elif self._ended:
                    self.dialogue.hear_end()
                asked = self.dialogue.take()
            if asked is not None:
                return asked
            data = self._wait_for_bytes()
            with self._ears:
                self._take_in(data)

    def send(self, messages: Iterable[Told]) -> None:
        """Write whole frames; when nobody reads them any more, this process is to stop.

        BadFrameError, ValueError or TypeError: the message cannot be a frame, nothing of it was written.
        """
        for message in messages:
            frame = memoryview(framing.encode(message.stamped(int(wall_s() * 1000)).encoded()))
            with self._mouth:
                try:
                    while frame and not self._reader_gone:
                        frame = frame[write(self._writing, frame) :]
                except OSError as error:
                    self._lose_the_reader(error)

    def inside_hook(self) -> Channel:
        """`with` this the watcher may read, answer pings and notice the end.

        A child that the algorithm forked and that comes back out of the hook ends here: it is not the adapter.
        """
        return self

    def __enter__(self) -> None:
        self._inside = True

    def __exit__(self, *_: object) -> None:
        if self._disowned:
            _exit(EXIT_OK)
        with self._ears:
            self._inside = False

    def limit_the_end(self) -> None:
        """From now on END_LIMIT_S are left, unless fewer are already."""
        if self._end_by_s is None:
            self._end_by_s = monotonic() + END_LIMIT_S

    def drain(self) -> None:
        """Hear what has arrived already, without waiting for more."""
        with self._ears:
            while not self._ended and not self._stop_asked and _is_readable(self._reading):
                self._take_in(self._read())

    def _wait_for_bytes(self) -> bytes | None:
        """Bytes, b"" at their end, None when this process is to stop."""
        if sys.platform != "win32":
            for descriptor, happened in self._wait():
                if descriptor == self._stop_reading:
                    self.broken = bool(happened & POLLNVAL)
                    return b"" if self.broken else None
        return self._read()

    def _read(self) -> bytes:
        try:
            return read(self._reading, _READ_BYTES)
        except OSError as error:
            self.broken = self.broken or error.errno == errno.EBADF
            return b""

    def _take_in(self, data: bytes | None) -> None:
        """Under the ears' lock: hear every whole body of the data, at once and in order."""
        if data is None:
            return
        self._heard_at_s = now_s = monotonic()
        bodies, too_long = self._decoder.feed(data)
        for raw_body in bodies:
            self.send(self.dialogue.hear(raw_body, now_s))
        if too_long is not None:
            self.send(self.dialogue.hear_overlong(too_long))
        self._ended = not data or too_long is not None

    def _lose_the_reader(self, error: OSError) -> None:
        self._reader_gone = True
        self.broken = self.broken or error.errno == errno.EBADF
        self._ask_to_stop()

    def _on_sigterm(self, _signal: int, _frame: object) -> None:
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        self._stop_asked = True
        self.limit_the_end()
        with suppress(OSError):  # full: it has been said; closed: the next read says so too
            write(self._stop_writing, b"\0")

    def _hold_sigterm(self) -> None:
        """Before a fork: a SIGTERM for the child must meet neither our handler nor the pipe to our watcher there."""
        if sys.platform != "win32":
            self._forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))

    def _let_sigterm_through(self) -> None:
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, self._forking.mask)

    def _disown(self) -> None:
        """In a forked child: no frame is ever read or written here, and SIGTERM ends it as it ends any process."""
        if not self._disowned:
            self._give_up_what_is_ours()
        self._let_sigterm_through()

    def _give_up_what_is_ours(self) -> None:
        self._disowned = True
        if signal.getsignal(signal.SIGTERM) == self._on_sigterm:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
        own = (self._stop_reading, self._stop_writing, self._wake_reading, self._wake_writing)
        for descriptor in (self._reading, self._writing, *own):
            with suppress(OSError):
                os.close(descriptor)

    def _watch(self) -> None:
        while True:
            unheard_s = monotonic() - self._heard_at_s
            listening = self._inside and not self._ended and unheard_s >= TAKE_OVER_AFTER_S
            reading = self._reading if listening else None
            readable, gone, signals = _look(reading, self._writing, self._wake_reading)
            if gone and not self._reader_gone:
                self._lose_the_reader(OSError(errno.EPIPE, "nobody reads"))
            if signal.SIGTERM in signals:
                self._ask_to_stop()
            if readable:
                self._read_for_the_main_thread()
            if self._end_by_s is not None and monotonic() > self._end_by_s:
                _exit(EXIT_OVERRUN)

    def _read_for_the_main_thread(self) -> None:
        """What was readable a moment ago may have been read, and another hook begun, before the ears were ours."""
        with self._ears:
            if self._inside and _is_readable(self._reading):
                self._take_in(self._read())
                if self._ended:
                    self.limit_the_end()


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors lie where those of the protocol do."""
    low = os.pipe()
    reading, writing = map(move_away, low)
    for descriptor in low:
        os.close(descriptor)
    return reading, writing


def _is_readable(reading: int) -> bool:
    if sys.platform != "win32":
        waiting = poll()
        waiting.register(reading, POLLIN)
        return bool(waiting.poll(0))
    return _look_on_windows(reading)


def _look(reading: int | None, writing: int, wake: int) -> tuple[bool, bool, bytes]:
    """(frames can be read, the reader is gone, signals that came), after at most TAKE_OVER_AFTER_S."""
    if sys.platform != "win32":
        waiting = poll()
        waiting.register(wake, POLLIN)
        waiting.register(writing, 0)
        if reading is not None:
            waiting.register(reading, POLLIN)
        found = dict(waiting.poll(TAKE_OVER_AFTER_S * 1000))
        gone = writing in found
        if gone or found.get(wake, 0) & POLLNVAL:
            sleep(TAKE_OVER_AFTER_S)  # what is gone stays gone: poll would return at once for ever
        signals = read(wake, 64) if found.get(wake, 0) & POLLIN else b""
        return reading in found, gone, signals
    sleep(TAKE_OVER_AFTER_S)
    return reading is not None and _look_on_windows(reading), False, b""


def _look_on_windows(reading: int) -> bool:
    if sys.platform != "win32":
        raise NotImplementedError("the Windows way, asked for elsewhere")
    import _winapi
    import msvcrt

    try:
        available, *_ = _winapi.PeekNamedPipe(msvcrt.get_osfhandle(reading))
    except OSError:
        return True
    return bool(available)
