"""The only two times there are: monotonic for every interval, wall for records."""

from __future__ import annotations

import time

# Seconds that never jump; only differences mean something, and only in this process.
monotonic_s = time.monotonic


def wall_ms() -> int:
    """Unix epoch milliseconds, for records and messages."""
    return int(time.time() * 1000)


def pause_s(seconds: float) -> None:
    """Block the calling thread; for blocking clients only."""
    time.sleep(seconds)
