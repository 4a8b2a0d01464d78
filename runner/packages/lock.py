"""One change of files at a time: installing, uninstalling and tidying up wait for one another (spec.md §10).

Activation and rollback do not take it: they are one transaction each, and must not wait for an installation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from procvision_sdk.errors import ErrorCode, StationError
from runner.clock import monotonic_s, pause_s

_LOOK_EVERY_S = 0.05


@contextmanager
def held(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock for the block; StationError (3001) when another still holds it after `wait_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up_at_s = monotonic_s() + wait_s
        while not _taken(descriptor):
            if monotonic_s() >= give_up_at_s:
                raise StationError("another installation is running", hint="wait until it is done", code=ErrorCode.BUSY)
            pause_s(_LOOK_EVERY_S)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    with suppress(OSError):
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
