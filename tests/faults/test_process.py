"""Algorithms that take over, overload or bring down the process they live in (spec.md §1.6, §4.62, §7.4, §7.6)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving, submit, worker_in

SOURCE = "static int n; int build(void) {{ return {build}; }} int count(void) {{ return ++n; }}"


def how(name: str) -> dict[str, Any]:
    return {"environment.PROC_TEST_HOW": name}


@pytest.mark.fault("A41")
def test_a_setup_that_alternates_is_tried_at_once_until_the_budget_is_spent_and_then_slowly(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "alternating", workers__restarts=3) as daemon, daemon.client() as client:
        assert inspect(client, "V1")["incarnation"] == 2  # the first setup crashed
        assert _end_worker(daemon, 2) == (4, False)  # its end, and the third setup: three failures are no more than 3
        os.kill(daemon.worker("alternating")["os_pid"], 9)
        status = daemon.wait_for(
            lambda status: worker_in(status, "alternating")["state"] == "BACKOFF" and _spent(status)
        )
        refused = inspect(client, "V1")
        assert (refused["error_code"], refused["attempts"]) == ("3002", 0), refused
        assert "ended too often" in refused["message"] and "SIGKILL" in refused["message"]
        assert inspect(client, "S1")["incarnation"] == 1
        assert worker_in(status, "alternating")["restarts"] == 3


def _slowed(status: dict[str, Any], name: str) -> bool:
    return _spent(status) and worker_in(status, name)["state"] == "BACKOFF"


def _spent(status: dict[str, Any]) -> bool:
    return any(one["restarts_too_often"] for one in status["deployments"])


def _end_worker(daemon: Daemon, incarnation: int) -> tuple[int, bool]:
    """End the worker; which one serves after it, and whether the restarts were too many by then."""
    worker = daemon.worker("alternating")
    assert worker["incarnation"] == incarnation
    os.kill(worker["os_pid"], 9)
    status = daemon.wait_for(lambda status: _serves_after(status, incarnation))
    return worker_in(status, "alternating")["incarnation"], _spent(status)


def _serves_after(status: dict[str, Any], incarnation: int) -> bool:
    worker = worker_in(status, "alternating")
    return bool(worker["state"] == "READY" and worker["incarnation"] > incarnation)


@pytest.mark.fault("A42")
@pytest.mark.parametrize("end", ["hang", "raise", "fork"])
def test_a_teardown_that_does_not_do_its_work_delays_the_next_process_by_its_limit_at_most(
    tmp_path: Path, end: str
) -> None:
    with around_a_fault(tmp_path, "ending", **how(end)) as daemon, daemon.client() as client:
        assert inspect(client, "E1", user_params={"how": "last"})["error_code"] == "1009"
        after = inspect(client, "E1")
        assert (after["status"], after["incarnation"], after["attempts"]) == ("OK", 2, 1)
        assert daemon.notes.count("teardown") == 1
        assert ("the device does not let go" in daemon.log) is (end == "raise")


@pytest.mark.fault("A42")
@pytest.mark.parametrize("end", ["hang", "fork"])
def test_the_stop_of_a_runner_takes_no_longer_than_the_teardown_may(tmp_path: Path, end: str) -> None:
    with serving(tmp_path, "ending", **how(end)) as daemon:
        daemon.wait_ready()
        processes = daemon.own_processes()
        assert daemon.stop() == 0
        assert [one for one in processes if one.is_running() and one.status() != "zombie"] == []


@pytest.mark.fault("A49")
@pytest.mark.parametrize(("end", "rough"), [("segfault", 1), ("segfault at exit", 0)])
def test_a_crash_after_the_last_result_takes_nothing_back_and_is_counted_by_itself(
    tmp_path: Path, end: str, rough: int
) -> None:
    with around_a_fault(tmp_path, "ending", **how(end)) as daemon, daemon.client("line") as client:
        assert inspect(client, "E1", request_id="good")["status"] == "OK"
        last = inspect(client, "E1", user_params={"how": "last"}, request_id="last")
        assert (last["error_code"], last["attempts"]) == ("1009", 1) and "the device is lost" in last["message"]
        after = inspect(client, "E1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        status = client.status()
        worker = worker_in(status, "ending")
        assert (worker["rough_ends"], worker["last_exit"]) == (rough, "signal SIGSEGV" if rough else "exit code 0")
        assert not _spent(status)
        assert client.ask("query", target_request_id="good")["status"] == "OK"
        assert client.ask("query", target_request_id="last") == last


@pytest.mark.fault("A46")
def test_sixteen_busy_threads_starve_neither_the_runner_nor_another_product(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "spinning") as daemon, daemon.client() as client, daemon.host() as host:
        spinning, _ = submit(client, "W1", user_params={"how": "spin"})
        with daemon.gate("spinning"):
            assert [host.ask("ping")["type"] for _ in range(50)] == ["pong"] * 50
            assert {inspect(client, "S1")["status"] for _ in range(5)} == {"OK"}
            assert worker_in(client.status(), "spinning")["state"] == "BUSY"
        result = client.result(spinning)
        assert (result["status"], result["incarnation"]) == ("OK", 1)
        half = str(max(1, len(os.sched_getaffinity(0)) // 2))
        assert result["data"]["capped"] == dict.fromkeys(
            ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), half
        )


@pytest.mark.fault("A47")
def test_what_an_algorithm_takes_over_of_its_process_reaches_neither_frames_nor_the_polite_end(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hijacking") as daemon, daemon.client() as client:
        result = inspect(client, "J1", user_params={"how": "hijack"})
        assert (result["status"], result["data"]["replaced"]) == ("OK", True)
        for _ in range(3):
            after = inspect(client, "J1", deadline_ms=60_000.0)
            assert (after["status"], after["incarnation"], after["attempts"]) == ("OK", 1, 1), after
        assert worker_in(client.status(), "hijacking")["state"] == "READY"


@pytest.mark.fault("A48")
@pytest.mark.parametrize(
    ("why", "told"),
    [
        ("raises", "the licence has expired"),
        ("missing module", "halcon_of_tomorrow"),
        ("wrong binary", "codec_of_2019"),
        ("exits", "no camera"),
    ],
)
def test_what_cannot_be_imported_is_fatal_with_its_reason_and_is_tried_once(
    tmp_path: Path, why: str, told: str
) -> None:
    with around_a_fault(tmp_path, "unimportable", **how(why)) as daemon, daemon.client() as client:
        worker = worker_in(client.status(), "unimportable")
        assert (worker["state"], worker["restarts"]) == ("FATAL", 0)
        results = [inspect(client, "U1") for _ in range(2)]
        assert {(one["status"], one["error_code"], one["attempts"]) for one in results} == {("ERROR", "1014", 0)}
        assert told in results[0]["message"] and "Traceback" in daemon.log
        assert daemon.notes.count("imported") == 1


@pytest.mark.fault("A48")
def test_what_crashes_when_it_is_imported_is_tried_as_often_as_the_budget_says_and_no_more(tmp_path: Path) -> None:
    settings = {**how("crash"), "workers.restarts": 2}
    with serving(tmp_path, "steady", "unimportable", **settings) as daemon, daemon.client() as client:
        daemon.wait_for(lambda status: _slowed(status, "unimportable"))
        assert daemon.notes.count("imported") == 3
        result = inspect(client, "U1")
        assert (result["error_code"], result["attempts"]) == ("3002", 0) and "SIGABRT" in result["message"]
        assert inspect(client, "S1")["incarnation"] == 1


def _build_codec(folder: Path, compiler: str, build: int) -> None:
    folder.mkdir()
    (folder / "codec.c").write_text(SOURCE.format(build=build), "utf-8")
    made = [compiler, "-shared", "-fPIC", "-Wl,-soname,libcodec.so", "-o", "libcodec.so", "codec.c"]
    subprocess.run(made, cwd=folder, check=True)


@pytest.mark.fault("A50")
def test_two_libraries_of_one_name_do_not_meet(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler to build two libraries of one name")
    for build, name in enumerate(("codec_one", "codec_two"), 1):
        _build_codec(tmp_path / name, compiler, build)
    with around_a_fault(tmp_path, "codec_one", "codec_two") as daemon, daemon.client() as client:
        told = [inspect(client, pid)["data"] for pid in ("N1", "N2", "N1", "N2")]
        assert [(one["build"], one["seen"], one["calls"]) for one in told] == [
            (1, 1, 1),
            (2, 2, 1),
            (1, 1, 2),
            (2, 2, 2),
        ]
        assert len({one["os_pid"] for one in told}) == 2
