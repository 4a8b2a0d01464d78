"""`validate --full`: what grows in the algorithm's process while the same images come again and again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from runner.dev.checks import Check, Outcome
from runner.dev.hook_checks import suited, try_parameters
from runner.dev.image_files import ImageFile
from runner.dev.inspection import inspect_image
from runner.dev.local import LocalStation

REPEATS = 50
# Caches, pools and lazy imports fill in the first rounds.
_WARM_UP = 10
# What is lost per inspection: a station makes a hundred thousand a day.
_MEMORY_WARN, _MEMORY_FAIL = 50_000, 200_000
_HANDLES_FAIL = 0.2
_HINT = "keep nothing of a part in self; close what a hook opens; free in reset what belongs to the session"


@dataclass(frozen=True, slots=True)
class Use:
    """What a process holds: private resident bytes, open descriptors (Windows: handles), threads."""

    memory_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, os_pid: int) -> Use:
        process = psutil.Process(os_pid)
        memory = process.memory_info()
        if sys.platform == "win32":
            descriptors = process.num_handles()
        else:
            descriptors = process.num_fds()
        return cls(memory.rss - getattr(memory, "shared", 0), descriptors, process.num_threads())


async def check_leaks(local: LocalStation, images: Sequence[ImageFile], advance: Callable[[], None]) -> Check:
    """Inspect `REPEATS` times over products and images; compare the process after the warm-up with its end."""
    planned = try_parameters(local.deployment.manifest)
    pids = local.deployment.manifest.supported_pids
    incarnation, before = local.supervisor.identity.incarnation, None
    for round_number in range(REPEATS):
        if round_number == _WARM_UP:
            before = Use.of(local.supervisor.os_pid)
        pid = pids[round_number % len(pids)]
        fitting = suited(images, pid, local.deployment.manifest)
        await inspect_image(local, fitting[round_number // len(pids) % len(fitting)], pid, planned)
        advance()
        if local.supervisor.identity.incarnation != incarnation or local.supervisor.os_pid < 0:
            message = f"the algorithm's process was replaced in round {round_number + 1}"
            return Check("leaks", Outcome.FAIL, message, hint="see its log above")
    assert before is not None
    return judge(before, Use.of(local.supervisor.os_pid), REPEATS - _WARM_UP)


def judge(before: Use, after: Use, rounds: int) -> Check:
    """Growth per inspection against what a station can bear."""
    memory = (after.memory_bytes - before.memory_bytes) / rounds
    descriptors = (after.descriptors - before.descriptors) / rounds
    threads = (after.threads - before.threads) / rounds
    told = f"per inspection {memory / 1000:+.1f} kB, {descriptors:+.2f} descriptors, {threads:+.2f} threads"
    if memory > _MEMORY_FAIL or descriptors > _HANDLES_FAIL or threads > _HANDLES_FAIL:
        return Check("leaks", Outcome.FAIL, told, hint=_HINT)
    if memory > _MEMORY_WARN:
        return Check("leaks", Outcome.WARN, told, hint=_HINT)
    return Check.passed("leaks", f"{rounds} inspections: {told}")
