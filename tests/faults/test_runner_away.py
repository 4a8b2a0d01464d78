"""A runner that is blocked or stopped: the watchdog is not fed, and nobody is ended for it (spec.md §7.3, §11.26)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runner.clock import pause_s
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving, submit, worker_in
from tests.doubles.notify_socket import heard, init_system

# Longer than the deadline of a call and than any grace; the long one is what a suspended machine looks like.
AWAY_S = [2.0, pytest.param(5.0, marks=pytest.mark.slow)]
SILENCE_S = 1.0
# At SIGUSR2 the main thread, and so the event loop, stands still until somebody opens the gate.
BLOCKABLE = """
import os, signal
from runner.cli import main
signal.signal(signal.SIGUSR2, lambda *_: open(os.environ["LOOP_GATE"]).read())
main()
"""


@contextmanager
def stopped(daemon: Daemon, seconds: float) -> Iterator[None]:
    """The runner does nothing while the block runs and for so long after it."""
    daemon.signal(signal.SIGSTOP)
    try:
        yield
        pause_s(seconds)
    finally:
        daemon.signal(signal.SIGCONT)


def restarts(status: dict[str, Any]) -> list[int]:
    return [worker["restarts"] for one in status["deployments"] for worker in one["workers"]]


@pytest.mark.fault("B3")
def test_a_blocked_loop_feeds_no_watchdog_and_shows_its_lag_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings, command = Daemon.environment, Daemon.command
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000", "LOOP_GATE": str(tmp_path / "loop")}
    monkeypatch.setattr(Daemon, "environment", lambda daemon: {**surroundings(daemon), **told})
    program = [sys.executable, "-c", BLOCKABLE]
    monkeypatch.setattr(Daemon, "command", lambda daemon: [*program, *command(daemon)[3:]])
    with init_system(told["NOTIFY_SOCKET"]) as listening, around_a_fault(tmp_path) as daemon:
        before = daemon.status()["loop"]
        assert (before["away"], heard(listening) != []) == (0, True)
        loop = daemon.gate("loop")
        daemon.signal(signal.SIGUSR2)
        with loop:
            listening.settimeout(SILENCE_S)
            with pytest.raises(TimeoutError):
                for _ in range(100_000):  # what was said before it was blocked
                    heard(listening)
        assert heard(listening) == ["WATCHDOG=1"]
        after = daemon.status()["loop"]
        assert (after["away"], after["most_ms"] > SILENCE_S * 500) == (1, True)
        assert "the event loop was away for" in daemon.log


@pytest.mark.fault("B11")
@pytest.mark.parametrize("answers", ["while the runner is away", "when it is back"])
@pytest.mark.parametrize("away_s", AWAY_S)
def test_a_call_whose_deadline_passed_while_the_runner_was_stopped_is_given_the_time_it_missed(
    tmp_path: Path, answers: str, away_s: float
) -> None:
    limits: dict[str, Any] = {"timeouts__pre_execute_s": 0.7, "timeouts__execute_s": 0.7}
    with around_a_fault(tmp_path, **limits) as daemon, daemon.client() as client:
        asked, _ = submit(client, "S1", step_index=1, user_params={"gate": "away"})
        gate = daemon.gate("away")
        with gate:
            daemon.signal(signal.SIGSTOP)
            if answers == "when it is back":
                pause_s(away_s)
                daemon.signal(signal.SIGCONT)
        if answers == "while the runner is away":
            pause_s(away_s)
            daemon.signal(signal.SIGCONT)
        result = client.result(asked)
        assert (result["status"], result["incarnation"], result["attempts"]) == ("OK", 1, 1)
        assert restarts(client.status()) == [0]
        assert client.status()["loop"]["away"] >= 1


@pytest.mark.fault("B11")
@pytest.mark.parametrize("away_s", AWAY_S)
def test_an_idle_worker_whose_pong_came_while_the_runner_was_stopped_is_not_suspected(
    tmp_path: Path, away_s: float
) -> None:
    beat: dict[str, Any] = {"heartbeat__interval_s": 0.05, "heartbeat__grace_s": 1.0, "heartbeat__misses": 1}
    with around_a_fault(tmp_path, **beat) as daemon:
        worker = daemon.worker("steady")["os_pid"]
        with kept_quiet(worker):
            pause_s(0.3)  # a ping is on its way now, and stays unanswered until the runner is stopped
            daemon.signal(signal.SIGSTOP)
        pause_s(away_s)
        daemon.signal(signal.SIGCONT)
        for _ in range(20):
            assert restarts(daemon.status()) == [0], daemon.log


@contextmanager
def kept_quiet(os_pid: int) -> Iterator[None]:
    os.kill(os_pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(os_pid, signal.SIGCONT)


@pytest.mark.fault("B11")
@pytest.mark.parametrize("away_s", AWAY_S)
def test_a_worker_that_boots_while_the_runner_is_stopped_is_given_the_time_it_missed(
    tmp_path: Path, away_s: float
) -> None:
    with serving(tmp_path, "slow_setup", "steady", timeouts__boot_s=1.5) as daemon, daemon.client() as client:
        with daemon.gate("setup-gate"), stopped(daemon, away_s):
            pass
        status = daemon.wait_ready()
        assert (worker_in(status, "slow_setup")["restarts"], restarts(status)) == (0, [0, 0])
        assert inspect(client, "L1")["incarnation"] == 1
