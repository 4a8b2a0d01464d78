"""What a worker process is started with: command line, folder, environment (spec.md §4, Launch)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import procvision_sdk

# What a process needs of its surroundings to run at all; tokens and secrets of the runner stay here.
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
_PASSED_ON_WINDOWS = ("SYSTEMROOT", "TEMP", "TMP", "PATHEXT", "COMSPEC")
# Of memory_mb, what a worker may allocate: address space, of which thread stacks and arenas leave much unused. It lies
# above the shares of memory in use at which a worker is replaced and ended (memory.py), so that those come first.
DATA_SHARE = 1.5
# Numeric libraries start a thread per core, in each worker: standbys and the runner would starve (fault A46).
_THREAD_CAPS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What one worker may use up; 0 processes means no limit (spec.md §4.66)."""

    memory_mb: int
    max_processes: int = 0


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How to start one worker. `scratch` becomes its private HOME and TMPDIR and is removed after it; `write_s` is
    how long it may leave unread what was sent to it.
    """

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    scratch: Path
    write_s: float = 2.0


def boot_script(interpreter: Path) -> Path:
    """boot.py of the SDK in the interpreter's own environment, else of the runner's SDK."""
    environment, own = interpreter.parent.parent, "site-packages/procvision_sdk/adapter/boot.py"
    # Named level by level: this is asked on the event loop, and an environment has thousands of folders.
    for found in sorted((*environment.glob(f"lib/python3*/{own}"), *environment.glob(f"Lib/{own}"))):
        return found
    return Path(procvision_sdk.__file__).parent / "adapter" / "boot.py"


def command(interpreter: Path, isolated: bool, limits: ProcessLimits) -> tuple[str, ...]:
    """The adapter's command line; isolated: no user site, no .pth file, no PYTHON* variable."""
    flags = ("-I", "-S", "-B", str(boot_script(interpreter))) if isolated else ("-B", "-m", "procvision_sdk.adapter")
    bounds = ["--memory-mb", str(int(limits.memory_mb * DATA_SHARE))]
    if limits.max_processes:
        bounds += ["--max-processes", str(limits.max_processes)]
    return (str(interpreter), *flags, "--parent-pid", str(os.getpid()), *bounds)


def environment(own: Mapping[str, str], scratch: Path, folder: Path) -> dict[str, str]:
    """An allow-list of the runner's environment, the PROC_* variables, then `own` of manifest and station."""
    names = _PASSED + (_PASSED_ON_WINDOWS if sys.platform == "win32" else ())
    kept = {name: os.environ[name] for name in names if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("PROC_")}
    private = {"HOME": str(scratch), "TMPDIR": str(scratch)}
    if sys.platform == "win32":
        private |= {"TEMP": str(scratch), "TMP": str(scratch), "USERPROFILE": str(scratch)}
    caps = dict.fromkeys(_THREAD_CAPS, str(max(1, _cores() // 2)))
    return {**kept, **private, **caps, "PROC_ALGO_ROOT": str(folder), "PYTHONUNBUFFERED": "1", **own}


def _cores() -> int:
    """Processor cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
