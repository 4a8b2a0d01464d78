"""Never answers a call, in each of the ways there are."""

import ctypes
import os
import signal
import threading
import time
from typing import Any

from tests.algorithms.daemon.plain import Plain, note

_FOR_EVER_S = 3600


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
            case "deadlock":
                lock = threading.Lock()
                lock.acquire()
                lock.acquire()
            case "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "numb_when_idle":  # answers, and then a thread never gives the interpreter's lock back
                threading.Timer(0.1, ctypes.PyDLL(None).sleep, [_FOR_EVER_S]).start()
            case "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(_FOR_EVER_S)
        return None
