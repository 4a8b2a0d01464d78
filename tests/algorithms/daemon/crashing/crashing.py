"""Ends its own process in the middle of a call, in each of the ways there are."""

import ctypes
import mmap
import os
import signal
import tempfile
from typing import Any

from tests.algorithms.daemon.plain import Plain, happens_first_time, wait_at


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "sigill":
                os.kill(os.getpid(), signal.SIGILL)
            case "sigbus":  # memory whose file has been cut
                with tempfile.TemporaryFile() as file:
                    file.truncate(mmap.PAGESIZE)
                    mapped = mmap.mmap(file.fileno(), mmap.PAGESIZE)
                    file.truncate(0)
                    mapped[0]
            case "killed_once" if happens_first_time("killed"):  # as the kernel does when memory runs out
                os.kill(os.getpid(), signal.SIGKILL)
            case "gate_once" if happens_first_time("gated"):  # lives until the test has seen what it wanted
                wait_at("crashing")
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(0)
            case "exit_once" if happens_first_time("crash"):
                os._exit(7)
        return None
