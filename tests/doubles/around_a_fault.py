"""What must hold around every fault: the runner lives, other products are served, and everything it used is given back.

with around_a_fault(folder, "crashing") as daemon:      # `steady` (product S1) is served beside it
    ... one real fault, and what the host is told ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from runner.host.client import RefusedError
from tests.doubles.daemon import Daemon, inspect, serving, worker_in

# Each look asks the runner for its status, so it gets a turn of its loop for each.
_LOOKS = 5000
_SETTLED = ("READY", "FATAL")
# Threads of asyncio's own pool start when they are first needed, and stay.
_POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)


@dataclass(frozen=True, slots=True)
class Used:
    """What a runner holds while nothing happens."""

    processes: int
    threads: int
    descriptors: int
    segments: tuple[str, ...]
    scratch: int
    free_slots: int

    def is_back_at(self, before: Used) -> bool:
        grown = self.threads - before.threads
        return replace(self, threads=0) == replace(before, threads=0) and grown <= _POOL_THREADS

    @classmethod
    def by(cls, daemon: Daemon, status: dict[str, Any]) -> Used:
        runner = psutil.Process(daemon.process.pid)
        return cls(
            processes=len(runner.children(recursive=True)),
            threads=runner.num_threads(),
            descriptors=runner.num_fds(),
            segments=tuple(sorted(path.name for path in Path("/dev/shm").glob(f"pv-*-{runner.pid}-*"))),
            scratch=sum(1 for _ in daemon.temporary.glob("*/*")),
            free_slots=status["slots"]["free"],
        )


@contextmanager
def around_a_fault(folder: Path, *projects: str, home: str = "home", **settings: object) -> Iterator[Daemon]:
    """A daemon with these projects and `steady`; after the block it must be as it was before it."""
    with serving(folder, "steady", *projects, home=home, **settings) as daemon:
        daemon.wait_for(_is_settled)
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
            with suppress(RefusedError):  # a station that records nothing
                client.ask("query", last=1)  # the store opens its reader at the first question, and keeps it
        before = settled_use(daemon)
        yield daemon
        assert daemon.process.poll() is None, f"the runner ended: {daemon.log[-4000:]}"
        with daemon.client() as client:
            served = inspect(client, "S1")
            assert (served["status"], served["incarnation"]) == ("OK", 1), served
        _wait_until_back(daemon, before)


def _is_settled(status: dict[str, Any]) -> bool:
    states = [worker["state"] for one in status["deployments"] for worker in one["workers"]]
    return all(state in (*_SETTLED, "STOPPED") for state in states) and worker_in(status, "steady")["state"] == "READY"


def settled_use(daemon: Daemon) -> Used:
    """The same twice: links that were closed a moment ago are gone."""
    with daemon.host() as host:
        last = Used.by(daemon, host.ask("status")["data"])
        for _ in range(_LOOKS):
            now = Used.by(daemon, host.ask("status")["data"])
            if now == last:
                return now
            last = now
    raise AssertionError(f"it does not come to rest: {last}")


def _wait_until_back(daemon: Daemon, before: Used) -> None:
    with daemon.host() as host:
        for _ in range(_LOOKS):
            status = host.ask("status")["data"]
            now = Used.by(daemon, status)
            if now.is_back_at(before) and _is_settled(status):
                return
    raise AssertionError(f"before the fault: {before}\nafter it: {now}\n{daemon.log[-2000:]}")
