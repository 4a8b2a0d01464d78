"""How a process is started that must not disturb the line: it computes, reads and writes when nobody else wants to.

Linux, macOS   nice 15 from the first instruction on: what it starts, and each thread it has, inherits it
Linux          the idle class of the disk, and the same nice for its session: where autogroups are on, cores are shared
               between sessions first, and nice counts only within one; what is refused is done without
Windows        below normal priority
Linux, Windows one core, the last it may use
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

# 3 % of a core that the line would have, too; more than that would take minutes where the line needs all of them.
NICE = 15


def behind(command: Sequence[str]) -> tuple[str, ...]:
    """The command with its low priority; on Windows `creation` does that."""
    nice = None if sys.platform == "win32" else shutil.which("nice")
    return (nice, "-n", str(NICE), *command) if nice is not None else tuple(command)


def creation() -> int:
    """The `creationflags` of the process."""
    if sys.platform == "win32":
        return subprocess.BELOW_NORMAL_PRIORITY_CLASS
    return 0


def read_and_write_last(os_pid: int) -> None:
    """For a process that was just started."""
    if sys.platform == "linux":
        with suppress(psutil.Error, OSError):
            psutil.Process(os_pid).ionice(psutil.IOPRIO_CLASS_IDLE)


def keep_to_one_core(os_pid: int) -> None:
    """For the first process of an operation, once it was started: whatever it starts stays on the last core it may use.

    A thread of the kernel that ends a write of the line's is bound to its core, and waits there for whoever computes.
    """
    with suppress(psutil.Error, OSError, AttributeError):  # macOS has no affinity
        process = psutil.Process(os_pid)
        process.cpu_affinity(process.cpu_affinity()[-1:])


def put_session_behind(os_pid: int) -> None:
    """For the first process of a session, once it was started."""
    if sys.platform == "linux":
        with suppress(OSError):
            Path(f"/proc/{os_pid}/autogroup").write_text(str(NICE), "ascii")
