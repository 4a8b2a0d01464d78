"""The orderly stop: what was accepted is answered, what comes then is refused, nothing is left (spec.md §7.4, §11)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.host.client import RefusedError, RunnerUnreachableError
from tests.doubles.daemon import IMAGE, inspect, serving, submit
from tests.doubles.raw_host import LIMIT_S


@pytest.mark.fault("B2")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_an_idle_runner_with_exit_code_0_and_one_teardown_for_each_setup(
    tmp_path: Path, number: int
) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        with daemon.client() as client:
            inspect(client, "S1", step_index=1)
        daemon.assert_nothing_is_lost()
        processes = daemon.own_processes()
        segments = _segments(daemon.process.pid)
        assert len(segments) == 1
        daemon.signal(number)
        assert daemon.exit_code() == 0, daemon.log
        _, alive = psutil.wait_procs(processes, LIMIT_S)
        assert (alive, _segments(daemon.process.pid)) == ([], [])
        words = [word for word in daemon.notes if not word.startswith("reset")]
        assert words == ["setup", "teardown"]
        assert [path.name for path in (daemon.home / "run").iterdir()] == ["lock"]
        assert list(daemon.temporary.iterdir()) == []


def _segments(os_pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"pv-*-{os_pid}-*"))


@pytest.mark.fault("B2")
def test_what_was_accepted_before_the_stop_is_answered_and_what_comes_after_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client, daemon.client() as late:
        daemon.wait_ready()
        spare = late.lease()
        meta = spare.put(IMAGE)
        running, _ = submit(client, "S1", step_index=1, user_params={"gate": "stop"})
        with daemon.gate("stop"):
            waiting = [submit(client, "S1", step_index=1)[0] for _ in range(2)]
            client.status()
            daemon.signal(signal.SIGTERM)
            # Until the runner has heard the signal it accepts, and the time is up before a worker is free.
            while (refused := late.inspect("S1", spare, meta, renew=False, deadline_ms=20.0))["error_code"] == "1005":
                spare = late.lease()
        answers = [client.result(one) for one in [running, *waiting]]
        assert (refused["error_code"], refused["attempts"]) == ("3002", 0)
        assert [one["status"] for one in answers] == ["OK"] * 3
        assert daemon.exit_code() == 0
        with pytest.raises(RunnerUnreachableError):
            client.status()


@pytest.mark.fault("B2")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_under_load_loses_no_accepted_inspection(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "steady", slots__count=24) as daemon, daemon.client() as client:
        daemon.wait_ready()
        asked = [submit(client, "S1")[0] for _ in range(20)]
        client.status()
        daemon.signal(number)
        answers = [client.result(one) for one in asked]
        assert daemon.exit_code() == 0
        assert [one["status"] for one in answers] == ["OK"] * 20
        assert daemon.notes.count("teardown") == 1


@pytest.mark.fault("A42")
@pytest.mark.parametrize("end", ["politely", "by force"])
def test_a_worker_ends_with_its_children_whether_it_ends_when_asked_or_not(tmp_path: Path, end: str) -> None:
    if end == "politely":
        (tmp_path / "let-go").touch()
    with serving(tmp_path, "clinging") as daemon:
        daemon.wait_ready()
        processes = daemon.own_processes()
        assert len(processes) == 3  # the runner, the worker, and the child it left behind
        assert daemon.stop() == 0
        _, alive = psutil.wait_procs(processes, LIMIT_S)
        assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.fault("B2")
def test_what_still_hangs_when_the_drain_is_over_is_answered_all_the_same(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"timeouts__drain_s": 0.1, "timeouts__teardown_s": 0.1}
    with serving(tmp_path, "hanging", **limits) as daemon, daemon.client() as client:
        daemon.wait_ready()
        hanging, _ = submit(client, "H1", user_params={"how": "native"})
        client.status()
        daemon.signal(signal.SIGTERM)
        result = client.result(hanging)
        assert (result["status"], result["error_code"]) == ("ERROR", "3002")
        assert daemon.exit_code() == 0


def test_a_lease_is_not_granted_any_more_by_a_runner_that_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        assert daemon.stop() == 0
        with pytest.raises((RunnerUnreachableError, RefusedError)):
            client.lease()
        with pytest.raises(RunnerUnreachableError, match="no runner serves"):
            daemon.client()
