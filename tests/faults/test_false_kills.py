"""A call that returns in time is never taken for a hang, however busy the machine and however long the runner was away
(spec.md §7).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client
from tests.doubles.daemon import PROJECTS, Daemon, inspect, serving

SEED = 6
# Each has a worker of its own; a call that holds its interpreter does not hold up the others.
PRODUCTS = ("HOLD0", "HOLD1", "HOLD2", "HOLD3")
PRE_EXECUTE_S = 0.1
LIMIT_S = 2.0
LONGEST = 0.9
SPINNERS_A_CORE = 2


@contextmanager
def busy_machine() -> Iterator[None]:
    """Twice as much to compute as there are cores."""
    spinners = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
        for _ in range(SPINNERS_A_CORE * (os.cpu_count() or 1))
    ]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
        for spinner in spinners:
            spinner.wait()


def project(folder: Path, pid: str) -> str:
    """The project `holding`, for a product of its own."""
    copy = folder / pid
    shutil.copytree(PROJECTS / "holding", copy, ignore=shutil.ignore_patterns("__pycache__"))
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    (copy / "manifest.json").write_text(json.dumps({**manifest, "name": pid.lower(), "supported_pids": [pid]}), "utf-8")
    return str(copy)


class Caller(threading.Thread):
    """Asks for one long call after the other, the longest first."""

    def __init__(self, client: Client, pid: str, calls: int) -> None:
        super().__init__(name=pid)
        self.results: list[tuple[Any, ...]] = []
        self._client, self._pid = client, pid
        shares = random.Random(f"{SEED} {pid}")
        self._holds_ms = [int(1000 * LIMIT_S * LONGEST * shares.uniform(0.5, 1.0)) for _ in range(calls)]
        self._holds_ms[0] = int(1000 * LIMIT_S * LONGEST)

    def run(self) -> None:
        for hold_ms in self._holds_ms:
            result = inspect(self._client, self._pid, user_params={"hold_ms": hold_ms})
            told = [result[key] for key in ("status", "incarnation", "attempts")]
            self.results.append((hold_ms, *told, result["message"]))


def stop_for(daemon: Daemon, seconds: float) -> None:
    """The runner is suspended while its workers go on; nothing is asserted about how long that was."""
    daemon.signal(signal.SIGSTOP)
    threading.Event().wait(seconds)
    daemon.signal(signal.SIGCONT)


SLOW = pytest.param(1000, 5.0, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])


@pytest.mark.parametrize(("calls", "stop_s"), [(20, LIMIT_S + 0.2), SLOW])
def test_a_call_that_returns_in_time_is_never_ended(tmp_path: Path, calls: int, stop_s: float) -> None:
    limits: dict[str, Any] = {"timeouts__pre_execute_s": PRE_EXECUTE_S, "timeouts__execute_s": LIMIT_S - PRE_EXECUTE_S}
    beats: dict[str, Any] = {"heartbeat__interval_s": 0.2, "heartbeat__grace_s": 0.3, "heartbeat__misses": 2}
    projects = [project(tmp_path, pid) for pid in PRODUCTS]
    with serving(tmp_path, *projects, slots__count=8, **limits, **beats) as daemon, ExitStack() as links:
        daemon.wait_ready()
        clients = [links.enter_context(daemon.client()) for _ in PRODUCTS]
        callers = [Caller(client, pid, calls // len(PRODUCTS)) for client, pid in zip(clients, PRODUCTS, strict=True)]
        with busy_machine():
            for caller in callers:
                caller.start()
            daemon.wait_for(lambda status: status["inspections"]["in_flight"] > 0)
            stop_for(daemon, stop_s)
            for caller in callers:
                caller.join()
        results = [one for caller in callers for one in caller.results]
        assert [one for one in results if one[1:4] != ("OK", 1, 1)] == []
        assert len(results) == calls
        deployments = daemon.status()["deployments"]
        assert [one["workers"][0]["incarnation"] for one in deployments] == [1] * len(PRODUCTS)
