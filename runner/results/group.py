"""Which rows are committed together (docs/decisions/0016)."""

from __future__ import annotations

import queue
from collections.abc import Sequence

from runner.clock import monotonic_s
from runner.results.plan import Asked, Told

GROUP_ROWS = 16
GROUP_S = 0.002


def gather(asked: queue.SimpleQueue[Asked | None], latest_s: float) -> tuple[list[Asked], bool]:
    """The next group, empty when nothing is asked until `latest_s`; and whether there will be more: None is the last.

    A row that somebody waits for takes with it what is there already; rows nobody waits for open theirs for GROUP_S.
    """
    group: list[Asked] = []
    while len(group) < GROUP_ROWS:
        wait_s = latest_s - monotonic_s()
        try:
            one = asked.get(timeout=wait_s) if wait_s > 0 else asked.get_nowait()
        except queue.Empty:
            break
        if one is None:
            return group, False
        group.append(one)
        latest_s = 0.0 if one.told is not None else min(latest_s, monotonic_s() + GROUP_S)
    return group, True


def tell_all(awaited: Sequence[Told], kept: bool) -> None:
    """Whoever waits for a row of a group learns whether it is kept."""
    for told in awaited:
        told(kept)
