"""What `procvision-runner status` and the host's `status` request show (spec.md §4.38)."""

from __future__ import annotations

from typing import Any

from runner.clock import monotonic_s
from runner.crew import Crew
from runner.logs import lost_records
from runner.station import Station
from runner.workers.memory_reading import resident_bytes
from runner.workers.supervisor import Supervisor


def station_status(station: Station) -> dict[str, Any]:
    """What `procvision-runner status` shows."""
    serving = station.serving
    others = [one for one in station.crews.values() if one not in serving]
    return {
        "station": station.config.station,
        "health": station.health.value,
        "problems": dict(sorted(station.problems.items())),
        "loop": {"lag_ms": station.loop.lag_ms, "most_ms": station.loop.most_ms, "away": station.loop.away},
        "uptime_s": round(monotonic_s() - station.started_at_s, 3),
        "sandbox": "none",
        "recorded": "none",
        "inspections": {**station.counts, "in_flight": station.in_flight},
        "sessions": len(station.sessions),
        "events_dropped": station.events.dropped,
        "slots": {
            "count": station.config.slots.count,
            "free": station.slots.free,
            "quarantined": station.slots.quarantined,
            "most_leased": station.slots.most_leased,
        },
        "memory": {"recycled": station.memory.recycled, "ended": station.memory.ended},
        "shared_names_removed": station.memory.names.removed,
        "log": {"lost_records": lost_records()},
        "products": {pid: one.label for pid, one in sorted(station.catalog.products.items())},
        "deployments": [_deployment_status(station, one) for one in (*serving, *others)],
    }


def _deployment_status(station: Station, crew: Crew) -> dict[str, Any]:
    failure, pool, deployment = crew.boot_failure, crew.pool, crew.deployment
    return {
        "name": deployment.label,
        "version": deployment.version,
        "duty": station.duty_of(crew).value,
        "health": crew.health.value,
        "waiting": pool.waiting,
        "inspecting": pool.inspecting,
        "restarts_too_often": pool.budget.degraded,
        "retries": pool.retries,
        "poisons": pool.poisons,
        "slow_steps": pool.drift.slow_steps,
        "drift_warnings": pool.drift.warnings,
        "reason": failure.message if failure is not None else "",
        "workers": [_worker_status(station, one) for one in crew.supervisors],
    }


def _worker_status(station: Station, supervisor: Supervisor) -> dict[str, Any]:
    return {
        "state": supervisor.state.value,
        "incarnation": supervisor.identity.incarnation,
        "restarts": supervisor.life.restarts,
        "abandoned": supervisor.ending.abandoned,
        "gil_stalls": supervisor.gil_stalls,
        "woken": supervisor.woken,
        "kept_views": supervisor.kept_views,
        "answered": supervisor.answered,
        "setup_ms": supervisor.setup_ms,
        "rough_ends": supervisor.rough_ends,
        "last_exit": str(supervisor.last_exit) if supervisor.last_exit is not None else "",
        "memory_bytes": resident_bytes(supervisor.os_pid),
        "slots_held": station.slots.held_by(supervisor.identity),
        "os_pid": supervisor.os_pid,
    }
