"""How much memory a process has to itself."""

from __future__ import annotations

import psutil


def resident_bytes(os_pid: int) -> int:
    """Resident bytes of a process less what it shares; 0 when it is gone."""
    if os_pid <= 0:
        return 0
    try:
        memory = psutil.Process(os_pid).memory_info()
    except psutil.Error:
        return 0
    return int(memory.rss - getattr(memory, "shared", 0))
