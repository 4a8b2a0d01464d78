"""File-system calls of a process, seen and spoilt by strace.

under(command, watched, inject=Injection("pwrite64", "error=EIO", 3))     # the third pwrite64 of each thread fails
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# No measure of anything: only the difference between late and never.
LIMIT_S = 60.0
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

_CALL = re.compile(r"(\d+) +(\w+)\(")


@dataclass(frozen=True, slots=True)
class Injection:
    """`fault` is `signal=KILL` or `error=<errno>`; `when` counts the calls of each thread from 1."""

    call: str
    fault: str
    when: int

    def __str__(self) -> str:
        return f"{self.call}:{self.fault}:when={self.when}"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended, and what it said, in whole lines."""

    returncode: int
    lines: tuple[str, ...]
    errors: str
    trace: str

    @property
    def met(self) -> bool:
        """Whether the fault was met: strace says so, but not of what killed the process."""
        return "INJECTED" in self.trace or self.returncode not in (0, 1)


def under_strace(module: str, file: Path, calls: tuple[str, ...], injection: Injection | None = None) -> Ran:
    """Run `python -m module file` with these calls traced, where they reach what lies around `file`."""
    log = file.parent.parent / f"{file.parent.name}.strace"
    watched = [word for path in _around(file) for word in ("-P", str(path))]
    options = ["strace", "-f", "-qq", "-o", str(log), *watched, "-e", f"trace={','.join(calls)}"]
    if injection is None or not injection.fault.startswith("signal"):
        # Three times as fast, but no signal is sent then.
        options.append("--seccomp-bpf")
    if injection is not None:
        options += ["-e", f"inject={injection}"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*options, sys.executable, "-m", module, str(file)]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    trace = log.read_text("utf-8", "replace")
    log.unlink()
    return Ran(ran.returncode, tuple(ran.stdout.splitlines()), ran.stderr, trace)


def _around(file: Path) -> list[Path]:
    """The store's files by the names they have while they are written, and their folder."""
    named = [file, file.with_name("results.backup.sqlite"), file.with_name("results.backup.sqlite.new")]
    beside = [Path(f"{one}{suffix}") for one in named for suffix in ("", "-wal", "-shm", "-journal")]
    return [*beside, file.with_name("ballast"), file.parent, file.parent.parent]


def most_calls_of_a_thread(trace: str) -> dict[str, int]:
    """How often the busiest thread made each call."""
    each = Counter(found.groups() for found in map(_CALL.match, trace.splitlines()) if found is not None)
    most: dict[str, int] = {}
    for (_, call), count in each.items():
        most[call] = max(count, most.get(call, 0))
    return most
