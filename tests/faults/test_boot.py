"""A worker that cannot boot, boots slowly, or boots at the second try (spec.md §1.5, §7.2, §7.6)."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving, submit, worker_in
from tests.doubles.raw_host import LIMIT_S


@pytest.mark.fault("A40")
def test_a_package_that_cannot_boot_is_fatal_with_its_reason_and_is_tried_once(tmp_path: Path) -> None:
    with serving(tmp_path, "broken_setup") as daemon, daemon.client() as client:
        status = daemon.wait_for(lambda status: worker_in(status, "broken_setup")["state"] == "FATAL")
        (told,) = status["deployments"]
        assert status["health"] == told["health"] == "FATAL"
        assert "the model is for another camera" in told["reason"]
        assert told["workers"][0]["restarts"] == 0
        results = [inspect(client, "B1") for _ in range(3)]
        assert {(one["status"], one["error_code"], one["attempts"]) for one in results} == {("ERROR", "1014", 0)}
        assert "the model is for another camera" in results[0]["message"]
        assert daemon.notes == ["tried"]
        assert "broken_setup.py" in daemon.log  # the traceback


def test_what_waited_for_a_package_that_cannot_boot_is_told_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, "slow_setup", "broken_setup", timeouts__queue_s=3600.0) as daemon:
        with daemon.client() as client:
            waiting, _ = submit(client, "B1")
            assert client.result(waiting)["error_code"] == "1014"
        daemon.gate("setup-gate").let_through()
        daemon.wait_for(lambda status: worker_in(status, "slow_setup")["state"] == "READY")


@pytest.mark.fault("A40")
def test_a_package_that_cannot_boot_holds_up_no_other(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "broken_setup") as daemon, daemon.client() as client:
        assert client.status()["health"] == "DEGRADED"
        assert inspect(client, "B1")["error_code"] == "1014"


@pytest.mark.fault("A39")
def test_while_one_package_boots_others_are_served_and_its_own_parts_wait_for_it(tmp_path: Path) -> None:
    with serving(tmp_path, "slow_setup", "steady") as daemon, daemon.client() as client:
        with daemon.gate("setup-gate"):
            assert inspect(client, "S1")["status"] == "OK"
            status = client.status()
            assert (status["health"], worker_in(status, "slow_setup")["state"]) == ("DEGRADED", "STARTING")
            waiting, _ = submit(client, "L1")
            hurried = inspect(client, "L1", deadline_ms=100.0)
            assert (hurried["error_code"], hurried["attempts"]) == ("1005", 0)
        assert client.result(waiting)["status"] == "OK"
        assert client.status()["health"] == "READY"


def test_a_boot_that_overruns_its_limit_is_ended_and_fatal(tmp_path: Path) -> None:
    with serving(tmp_path, "slow_setup", timeouts__boot_s=1.0) as daemon, daemon.client() as client:
        booting = daemon.worker("slow_setup")["os_pid"]
        status = daemon.wait_for(lambda status: worker_in(status, "slow_setup")["state"] == "FATAL")
        assert status["health"] == "FATAL"
        assert "not ready within 1.0 s" in status["deployments"][0]["reason"]
        result = inspect(client, "L1")
        assert result["error_code"] == "1014" and "timeouts.boot_s" in result["message"]
        assert not psutil.pid_exists(booting)


def test_a_boot_that_may_be_tried_again_is(tmp_path: Path) -> None:
    _assert_second_try_boots(tmp_path, "late_setup", "R1")


@pytest.mark.fault("A41")
def test_a_process_that_dies_while_it_boots_is_tried_again(tmp_path: Path) -> None:
    _assert_second_try_boots(tmp_path, "crashing_setup", "R2")


def _assert_second_try_boots(folder: Path, project: str, pid: str) -> None:
    with serving(folder, project) as daemon, daemon.client() as client:
        status = daemon.wait_ready()
        assert worker_in(status, project)["restarts"] == 1
        assert inspect(client, pid)["incarnation"] == 2
        assert daemon.notes == ["tried", "tried"]
        assert status["deployments"][0]["reason"] == ""


def test_a_runner_that_is_stopped_while_a_worker_boots_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "slow_setup", timeouts__teardown_s=0.1) as daemon:
        with daemon.gate("setup-gate"):
            processes = daemon.own_processes()
            assert daemon.stop() == 0
        _, alive = psutil.wait_procs(processes, LIMIT_S)
        assert alive == []


def _stop_twice(daemon: Daemon) -> int:
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGINT)
    return daemon.exit_code()


def test_a_second_signal_changes_nothing_about_an_orderly_stop(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        assert _stop_twice(daemon) == 0
        assert daemon.notes == ["setup", "teardown"]
