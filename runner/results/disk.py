"""How full the disk is, in the steps at which something is done about it (spec.md §11.16)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Level = Literal["good", "low", "scarce", "full"]
# In percent free (spec.md §6.3007). Below the last no new inspection is accepted.
_LOW_PERCENT, _SCARCE_PERCENT, _FULL_PERCENT = 5.0, 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Disk:
    """Free bytes of the disk that holds the store, and what they mean."""

    free_bytes: int
    level: Level


NOT_LOOKED = Disk(0, "good")


def look(folder: Path, min_free_bytes: int, taken_bytes: int = 0) -> Disk:
    """The disk under `folder` (or under what there is of it), were `taken_bytes` more of it taken.

    OSError when the system does not say.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    free_bytes = usage.free - taken_bytes
    return Disk(free_bytes, level_of(free_bytes, usage.total, min_free_bytes))


def level_of(free_bytes: int, total_bytes: int, min_free_bytes: int) -> Level:
    """`full` below 1 % or below the configured minimum."""
    percent = 100.0 * free_bytes / max(1, total_bytes)
    if percent < _FULL_PERCENT or free_bytes < min_free_bytes:
        return "full"
    if percent < _SCARCE_PERCENT:
        return "scarce"
    return "low" if percent < _LOW_PERCENT else "good"
