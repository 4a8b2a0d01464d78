"""Inspections and restarts without end leave nothing behind, and the runner's memory does not grow (spec.md §7)."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from runner.host.client import Client
from tests.doubles.around_a_fault import settled_use
from tests.doubles.daemon import IMAGE, Daemon, inspect, serving, worker_in

NULL = str(Path(__file__).parents[2] / "benchmarks" / "null_algorithm")
MAX_BYTES_PER_CALL = 10
MAX_GROWTH_BYTES = 2 * 1024 * 1024
SAMPLES = 50
# Longer than any test: an answer is waited for, whenever the worker is back.
PATIENT_MS = 100_000.0
# The book of answers is full after so many.
BOOK_FULL = 10_000
# Where there are fewer, how the book fills would be all that is seen: there it forgets at once.
FORGETFUL: dict[str, Any] = {"request_id_ttl_s": 0.001}
# SQLite keeps the descriptor of a backup's reader for the next one: the first backup would count as a leak.
NO_BACKUP: dict[str, Any] = {"store__backup_s": 0}
# After so many inspections the caches of the store are full.
STORE_WARM = 2000
# After so many restarts the allocator has the memory that one of them needs for a moment.
RESTARTS_WARM = 50


def slow(count: int, limit_s: int) -> Any:
    return pytest.param(count, marks=[pytest.mark.slow, pytest.mark.timeout(limit_s)])


def own_bytes(daemon: Daemon) -> int:
    """What the runner alone has in memory and wrote itself.

    Pages of libraries are its own only as long as nobody else on the machine uses them: they count for nobody.
    """
    return sum(int(one.private_dirty) for one in psutil.Process(daemon.process.pid).memory_maps())


def theil_sen(points: list[tuple[float, float]]) -> float:
    """The median of the slopes between any two points: a few odd ones do not move it."""
    return median((later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in combinations(points, 2))


@pytest.mark.parametrize(
    ("points", "slope"),
    [([(0, 0), (1, 2), (2, 4), (3, 6)], 2), ([(0, 5), (1, 5), (2, 900), (3, 5), (4, 5)], 0)],
)
def test_the_slope_is_that_of_most_points(points: list[tuple[float, float]], slope: float) -> None:
    assert theil_sen(points) == slope


def inspect_often(client: Client, calls: int) -> None:
    lease = client.lease()
    meta = lease.put(IMAGE)
    for _ in range(calls):
        assert client.inspect("NULL", lease, meta, step_index=1, keep=True)["status"] == "OK"
    client.release(lease)


@pytest.mark.parametrize("calls", [2000, slow(100_000, 3000)])
def test_inspections_leave_nothing_behind(tmp_path: Path, calls: int) -> None:
    few = calls < BOOK_FULL
    kept = FORGETFUL if few else {}
    with serving(tmp_path, NULL, **kept, **NO_BACKUP) as daemon, daemon.client() as client:
        daemon.wait_ready()
        inspect_often(client, STORE_WARM if few else BOOK_FULL + STORE_WARM)
        before, points = settled_use(daemon), [(0.0, float(own_bytes(daemon)))]
        for sample in range(1, SAMPLES + 1):
            inspect_often(client, calls // SAMPLES)
            points.append((sample * calls / SAMPLES, float(own_bytes(daemon))))
        assert settled_use(daemon) == before
        grown = points[-1][1] - points[0][1]
        print(f"{calls} inspections: {theil_sen(points):.2f} B each, {grown:.0f} B in all, {before}")
        assert grown <= MAX_GROWTH_BYTES, points
        if not few:
            assert theil_sen(points) <= MAX_BYTES_PER_CALL, points
        assert worker_in(client.status(), "null_algorithm")["incarnation"] == 1


def end_worker(daemon: Daemon, client: Client) -> None:
    """Its process ends while it is idle, and the next inspection meets its successor."""
    before = worker_in(client.status(), "null_algorithm")
    psutil.Process(before["os_pid"]).kill()
    daemon.wait_for(lambda status: _is_successor(worker_in(status, "null_algorithm"), before["incarnation"]))
    result = inspect(client, "NULL", deadline_ms=PATIENT_MS)
    assert (result["status"], result["incarnation"]) == ("OK", before["incarnation"] + 1)


def _is_successor(worker: dict[str, Any], incarnation: int) -> bool:
    told: tuple[str, int] = worker["state"], worker["incarnation"]
    return told == ("READY", incarnation + 1)


@pytest.mark.parametrize("restarts", [10, slow(1000, 3000)])
def test_restarts_leave_nothing_behind(tmp_path: Path, restarts: int) -> None:
    few = restarts < SAMPLES
    with serving(tmp_path, NULL, **FORGETFUL, **NO_BACKUP) as daemon, daemon.client() as client:
        daemon.wait_ready()
        inspect_often(client, STORE_WARM)
        for _ in range(5 if few else RESTARTS_WARM):
            end_worker(daemon, client)
        before, points = settled_use(daemon), [(0.0, float(own_bytes(daemon)))]
        for restart in range(1, restarts + 1):
            end_worker(daemon, client)
            if few or restart % (restarts // SAMPLES) == 0:
                points.append((float(restart), float(own_bytes(daemon))))
        assert settled_use(daemon) == before
        grown = points[-1][1] - points[0][1]
        print(f"{restarts} restarts: {theil_sen(points):.0f} B each, {grown:.0f} B in all, {before}")
        assert grown <= MAX_GROWTH_BYTES, points
        if not few:
            assert theil_sen(points) * restarts <= MAX_GROWTH_BYTES, points
