"""Stops its own process: in the middle of a call, or after one."""

import os
import signal
import threading
from typing import Any

from tests.algorithms.daemon.plain import Plain


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "busy":
                _stop()
            case "idle":
                threading.Timer(0.05, _stop).start()
        return None
