"""Never answers a call, in each of the ways there are."""

import collections
import ctypes
import itertools
import os
import signal
import threading
import time
from typing import Any

from tests.algorithms.daemon.plain import Plain, note

_FOR_EVER_S = 3600


def _loop_in_native_code() -> None:
    """Looks at no signal and never gives the interpreter's lock back."""
    collections.deque(itertools.repeat(None), maxlen=0)


def _be_numb() -> None:
    note("numb")
    ctypes.PyDLL(None).sleep(_FOR_EVER_S)


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "sleep":
                time.sleep(_FOR_EVER_S)
            case "spin":
                while True:
                    pass
            case "native":  # a library that never gives the interpreter's lock back
                note("native")
                ctypes.PyDLL(None).sleep(_FOR_EVER_S)
            case "native_loop":
                _loop_in_native_code()
            case "deaf_native":
                signal.signal(signal.SIGTERM, lambda *_: note("heard"))
                _loop_in_native_code()
            case "deadlock":
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            case "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "numb_when_idle":  # answers, and then a thread never gives the interpreter's lock back
                threading.Timer(0.1, _be_numb).start()
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(_FOR_EVER_S)
        return None
