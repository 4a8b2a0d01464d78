"""kill -9 of the runner at random moments, under load and while it starts: what was acknowledged stays (spec.md §5.12).

10 kills as a rule; 200, with the printed histogram of the recovery: pytest -m slow -s tests/faults/test_kill_loop.py
"""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from runner.clock import monotonic_s, pause_s
from runner.host.client import Client, RefusedError, RunnerUnreachableError
from tests.doubles.daemon import IMAGE, Daemon, serving
from tests.doubles.raw_host import LIMIT_S

SHARED_MEMORY = Path("/dev/shm")
SEED = 1
SLOTS = 8
# Its own, so that another run of this test is no business of this one.
STATION = f"killed-{os.getpid()}"
# A start takes some tenths of a second; a kill comes somewhere in it, or in the first work after it.
LATEST_WHILE_STARTING_S = 0.6
LATEST_UNDER_LOAD_S = 0.1
# Terminal: an answer, or the sentence that the runner did not live to give one.
ANSWERED = {("OK", ""), ("ERROR", "3004")}


@dataclass(slots=True)
class Told:
    """What a host knows of its requests, by request_id."""

    asked: set[str] = field(default_factory=set)
    acknowledged: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Recovery:
    """Milliseconds of each kill."""

    children_gone: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)


def load(client: Client, told: Told) -> None:
    """Keep the station busy until it is gone."""
    try:
        waiting: list[str] = []
        while True:
            while len(waiting) < SLOTS:
                lease = client.lease()
                request_id = client.submit("S1", lease, lease.put(IMAGE))
                told.asked.add(request_id)
                waiting.append(request_id)
            first = waiting.pop(0)
            told.acknowledged[first] = client.result(first)
    except RunnerUnreachableError:
        return


def kill_under_load(daemon: Daemon, told: Told, chance: random.Random) -> float:
    """Milliseconds from the kill to the end of all that the runner had started."""
    with daemon.client("loading") as client:
        daemon.wait_ready()
        handles = [os.pidfd_open(process.pid) for process in daemon.own_processes()[1:]]
        assert handles
        killed_at_s: list[float] = []

        def kill() -> None:
            killed_at_s.append(monotonic_s())
            daemon.process.kill()

        timer = Timer(chance.uniform(0, LATEST_UNDER_LOAD_S), kill)
        timer.start()
        load(client, told)
        timer.join()
    for handle in handles:
        assert select.select([handle], [], [], LIMIT_S)[0], "a worker outlived its runner"
        os.close(handle)
    gone_ms = (monotonic_s() - killed_at_s[0]) * 1000
    daemon.exit_code()
    return gone_ms


def kill_while_starting(daemon: Daemon, chance: random.Random) -> None:
    with subprocess.Popen(
        daemon.command(), env=daemon.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as starting:
        pause_s(chance.uniform(0, LATEST_WHILE_STARTING_S))
        starting.kill()


def restart(daemon: Daemon) -> float:
    """Milliseconds until every product has a worker."""
    began_s = monotonic_s()
    daemon.start()
    try:
        daemon.wait_ready()
    except TimeoutError:
        raise AssertionError(f"it does not become READY: {daemon.status()}\n{daemon.log[-4000:]}") from None
    return (monotonic_s() - began_s) * 1000


def assert_nothing_is_lost(daemon: Daemon, told: Told) -> None:
    with daemon.client("loading") as client:
        for request_id in told.asked:
            try:
                kept = client.ask("query", target_request_id=request_id)
            except RefusedError as error:
                assert "no answer is stored" in error.message  # its row was not committed: it was not accepted
                assert request_id not in told.acknowledged
                continue
            assert (kept["status"], kept["error_code"]) in ANSWERED, kept
            assert told.acknowledged.get(request_id, kept) == kept
        rows = client.ask("query", last=1000)["rows"]
        assert [row for row in rows if not row["status"]] == []


def assert_only_the_living_has_shared_memory(daemon: Daemon) -> None:
    names = [path.name for path in SHARED_MEMORY.iterdir() if f"pv-{STATION}-" in path.name]
    assert len(names) == 2 and all(f"-{daemon.process.pid}-" in name for name in names), names


@pytest.mark.fault("B1")
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_kill_9_at_any_moment_loses_nothing_and_leaves_nothing(tmp_path: Path, kills: int) -> None:
    chance, told, recovery = random.Random(SEED), Told(), Recovery()
    print(f"seed {SEED}")
    with serving(tmp_path, "steady", station=STATION, slots__count=SLOTS + 2) as daemon:
        for number in range(kills):
            life = Told()
            recovery.children_gone.append(kill_under_load(daemon, life, chance))
            if number % 3 == 2:
                kill_while_starting(daemon, chance)
            recovery.ready.append(restart(daemon))
            assert_nothing_is_lost(daemon, life)
            assert_only_the_living_has_shared_memory(daemon)
            told.asked |= life.asked
            told.acknowledged |= life.acknowledged
        if kills <= 10:
            assert_nothing_is_lost(daemon, told)
    assert [path.name for path in SHARED_MEMORY.iterdir() if f"pv-{STATION}-" in path.name] == []
    assert list(daemon.temporary.iterdir()) == []
    assert told.acknowledged
    print(f"{len(told.asked)} asked, {len(told.acknowledged)} acknowledged")
    for what, found in (("children gone", recovery.children_gone), ("READY", recovery.ready)):
        print(json.dumps({what: histogram(found)}))


def histogram(found: list[float]) -> dict[str, float]:
    """Quantiles in milliseconds."""
    ordered = sorted(found)
    places = {"min": 0.0, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[round(place * (len(ordered) - 1))], 1) for name, place in places.items()}
