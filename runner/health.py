"""Health, derived from worker states and never from an open port (spec.md §7)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from runner.workers.lifecycle import State, hopeless

_USABLE = frozenset({State.READY, State.BUSY})


class Health(Enum):
    """READY: a worker can serve, or is serving. DEGRADED: one may come back by itself. FATAL: somebody must act."""

    READY = "READY"
    DEGRADED = "DEGRADED"
    FATAL = "FATAL"


def usable(states: Iterable[State]) -> bool:
    """Whether a worker can serve, or is serving."""
    return bool(set(states) & _USABLE)


def of_deployment(states: Iterable[State], restarts_too_often: bool) -> Health:
    """The health of one deployment: one that exceeded its restart budget is DEGRADED also while it serves."""
    found = set(states)
    if usable(found):
        return Health.DEGRADED if restarts_too_often else Health.READY
    return Health.FATAL if hopeless(found) else Health.DEGRADED


def of_station(deployments: Iterable[tuple[Health, bool]]) -> Health:
    """READY only when every routed product has a usable worker; one without products is DEGRADED.

    Each deployment comes with its health and whether it is usable.
    """
    found = list(deployments)
    if found and all(is_usable for _, is_usable in found):
        return Health.READY
    return Health.FATAL if found and all(health is Health.FATAL for health, _ in found) else Health.DEGRADED
