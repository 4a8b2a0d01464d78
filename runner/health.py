"""Health, derived from worker states and never from an open port (spec.md §7)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from runner.workers.lifecycle import State

_USABLE = frozenset({State.READY, State.BUSY})


class Health(Enum):
    """READY: a worker can serve, or is serving. DEGRADED: one may come back by itself. FATAL: somebody must act."""

    READY = "READY"
    DEGRADED = "DEGRADED"
    FATAL = "FATAL"


def of_deployment(states: Iterable[State]) -> Health:
    """The health of one deployment out of its workers' states."""
    found = set(states)
    if found & _USABLE:
        return Health.READY
    return Health.FATAL if found <= {State.FATAL, State.FAILING} else Health.DEGRADED


def of_station(deployments: Iterable[Health]) -> Health:
    """READY only when every routed product has a usable worker; one without products is DEGRADED."""
    found = list(deployments)
    if found and all(health is Health.READY for health in found):
        return Health.READY
    return Health.FATAL if found and all(health is Health.FATAL for health in found) else Health.DEGRADED
