"""What this process may use up, set before any third-party byte; standard library alone (spec.md §4.66, §4.67).

    core files       none: they would hold images, and fill the disk
    memory           --memory-mb: private writable memory; one allocation too many is a MemoryError, answered 1012
    descriptors      1024
    processes        --max-processes: of the whole system user, so only for a user that runs nothing else
    out of memory    the kernel ends an algorithm before a runner

They are hard limits, inherited by whatever the algorithm starts. Windows has none of them: there the runner's own
reading of the memory is the only limit.
"""

from __future__ import annotations

import os
import sys

MAX_DESCRIPTORS = 1024
OOM_SCORE = 800
_MIB = 1024 * 1024


def apply(memory_mb: int | None, max_processes: int | None) -> list[str]:
    """Set the limits of this process; one line for each that was asked for and could not be set, with the reason."""
    if sys.platform == "win32":
        asked = {"memory": memory_mb, "processes": max_processes}
        return [f"{name}: not limited by this platform" for name, limit in asked.items() if limit is not None]
    notes = [_lower("RLIMIT_CORE", 0), _lower("RLIMIT_NOFILE", MAX_DESCRIPTORS)]
    if memory_mb is not None:
        notes.append(_lower("RLIMIT_DATA", memory_mb * _MIB))
    if max_processes is not None:
        notes.append(_limit_processes(max_processes))
    notes.append(_prefer_to_be_killed())
    return [note for note in notes if note]


def _limit_processes(most: int) -> str:
    """The kernel counts all processes and threads of the system user, and does not bind root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return "processes: not limited, root is not bound by it; run the station as a user of its own"
    return _lower("RLIMIT_NPROC", most)


def _lower(name: str, limit: int) -> str:
    """Set the soft and the hard limit, never above the hard one there is; why not, or ""."""
    if sys.platform == "win32":
        return f"{name}: not on this platform"
    import resource

    try:
        kind: int = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        lowest = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (lowest, lowest))
    except (AttributeError, OSError, ValueError) as error:
        return f"{name}: not limited: {error}"
    return ""


def _prefer_to_be_killed() -> str:
    """When the machine runs out of memory, this process goes before the runner; why not, or ""."""
    if sys.platform != "linux":
        return ""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as score:
            # To lower it needs a privilege, and is not wanted.
            if int(score.read()) < OOM_SCORE:
                score.seek(0)
                score.write(str(OOM_SCORE))
    except (OSError, ValueError) as error:
        return f"oom_score_adj: not set: {error}"
    return ""
