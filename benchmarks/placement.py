"""Which processor core each side runs on: fast contestants are bimodal when the system chooses.

    one    everything on one core: what the code costs
    two    the requester on one core, all that serves it on another: wake-ups across cores are in it
    free   wherever the system puts them

A process started by a placed one starts where its parent is.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

PLACEMENTS = ("one", "two", "free")
Side = Literal["requester", "service"]


def cores() -> list[int]:
    """The cores this process may use, in order."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def core_of(placement: str, side: Side, usable: list[int]) -> int | None:
    """The core for one side; None: any. `two` needs two of them, else it is ValueError."""
    if placement == "free":
        return None
    if placement == "one":
        return usable[0]
    if placement != "two":
        raise ValueError(f"placement: expected one of {', '.join(PLACEMENTS)}, got {placement!r}")
    if len(usable) < 2:
        raise ValueError(f"placement two: expected two usable cores, there is {len(usable)}")
    return usable[0] if side == "requester" else usable[1]


def move_to(core: int | None, usable: list[int]) -> None:
    """Keep this process on a core, or on all that are usable; on what it starts from now on too."""
    wanted = usable if core is None else [core]
    if sys.platform == "linux":
        os.sched_setaffinity(0, wanted)
        return
    import psutil

    if hasattr(psutil.Process, "cpu_affinity"):  # Windows; macOS has no such call
        psutil.Process().cpu_affinity(wanted)
