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


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """How to start one worker. `scratch` becomes its private HOME and TMPDIR and is removed after it."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    scratch: Path


def boot_script(interpreter: Path) -> Path:
    """boot.py of the SDK in the interpreter's own environment, else of the runner's SDK."""
    environment = interpreter.parent.parent
    for found in sorted(environment.glob("[Ll]ib/**/site-packages/procvision_sdk/adapter/boot.py")):
        return found
    return Path(procvision_sdk.__file__).parent / "adapter" / "boot.py"


def command(interpreter: Path, isolated: bool) -> tuple[str, ...]:
    """The adapter's command line; isolated: no user site, no .pth file, no PYTHON* variable."""
    flags = ("-I", "-S", "-B", str(boot_script(interpreter))) if isolated else ("-B", "-m", "procvision_sdk.adapter")
    return (str(interpreter), *flags, "--parent-pid", str(os.getpid()))


def environment(own: Mapping[str, str], scratch: Path, folder: Path) -> dict[str, str]:
    """An allow-list of the runner's environment, the PROC_* variables, then `own` of manifest and station."""
    names = _PASSED + (_PASSED_ON_WINDOWS if sys.platform == "win32" else ())
    kept = {name: os.environ[name] for name in names if name in os.environ}
    kept |= {name: value for name, value in os.environ.items() if name.startswith("PROC_")}
    private = {"HOME": str(scratch), "TMPDIR": str(scratch)}
    if sys.platform == "win32":
        private |= {"TEMP": str(scratch), "TMP": str(scratch), "USERPROFILE": str(scratch)}
    return {**kept, **private, "PROC_ALGO_ROOT": str(folder), "PYTHONUNBUFFERED": "1", **own}
