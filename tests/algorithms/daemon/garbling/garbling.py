"""Finds the pipe to the runner and writes to it what no adapter would say."""

import collections
import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Any

from tests.algorithms.daemon.plain import Plain


def _pipe_to_the_runner() -> int:
    """The one pipe that this process only writes to and has open once: stderr is open as 1 and 2."""
    opened = {}
    for name in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            opened[int(name.name)] = str(name.readlink())
    counted = collections.Counter(opened.values())
    for descriptor, target in opened.items():
        alone = target.startswith("pipe:") and counted[target] == 1
        if alone and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
            return descriptor
    raise LookupError("no such pipe")


def _frame(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "no":
            return None
        said = {
            "length": b"\xff\xff\xff\xff nonsense",
            "text": _frame(b"Loading model ..."),
            "answer": _frame(b'{"type": "result", "request_id": "another", "timestamp_ms": 1, "status": "OK"}'),
        }[how]
        os.write(_pipe_to_the_runner(), said)
        time.sleep(3600)
        return None
