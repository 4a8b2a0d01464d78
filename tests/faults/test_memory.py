"""Algorithms that take too much: memory, descriptors, threads (spec.md §7.20; faults A6, A17, A18, A46)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving, submit

# Never reached: between soon and never.
MANY = 5000


@pytest.mark.fault("A6")
def test_one_array_that_does_not_fit_is_1012_and_the_worker_goes_on(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hoarding") as daemon, daemon.client() as client:
        before = inspect(client, "H1")
        result = inspect(client, "H1", user_params={"how": "one_array"})
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1012", 1)
        after = inspect(client, "H1")
        assert (after["status"], after["incarnation"]) == ("OK", before["incarnation"])


@pytest.mark.fault("A6")
def test_memory_beyond_the_hard_limit_ends_the_worker_and_the_call_is_1012(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hoarding", timeouts__execute_s=3600.0) as daemon, daemon.client() as client:
        before = inspect(client, "H1")
        waiting, _ = submit(client, "H1", user_params={"how": "grow_and_wait"})
        assert inspect(client, "S1")["status"] == "OK"
        result = client.result(waiting)
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1012", 1)
        assert "limit 256 MiB (memory_mb)" in result["message"]
        after = inspect(client, "H1")
        assert after["status"] == "OK" and after["incarnation"] > before["incarnation"]
        assert client.status()["memory"]["ended"] == 1
        assert "teardown" not in daemon.notes


@pytest.mark.fault("A6")
def test_growth_by_steps_is_1012_whichever_limit_it_meets_first(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hoarding") as daemon, daemon.client() as client:
        result = inspect(client, "H1", user_params={"how": "grow_until_refused"})
        assert (result["status"], result["error_code"]) == ("ERROR", "1012")
        assert inspect(client, "H1")["status"] == "OK"


@pytest.mark.parametrize(
    ("how", "why"),
    [
        pytest.param("leak", "memory: ", marks=pytest.mark.fault("A17")),
        pytest.param("leak_files", "descriptors: ", marks=pytest.mark.fault("A18")),
        pytest.param("leak_threads", "threads: ", marks=pytest.mark.fault("A18")),
    ],
)
def test_a_worker_that_leaks_is_replaced_between_calls_and_no_part_is_lost(tmp_path: Path, how: str, why: str) -> None:
    with around_a_fault(tmp_path, "hoarding") as daemon, daemon.client() as client:
        results = [inspect(client, "H1")]
        while results[-1]["incarnation"] == 1 and len(results) < MANY:
            results.append(inspect(client, "H1", user_params={"how": how}))
        assert {(one["status"], one["attempts"]) for one in results} == {("OK", 1)}
        assert results[-1]["incarnation"] == 2
        assert client.status()["memory"] == {"recycled": 1, "ended": 0}
        _assert_planned(daemon)
        assert f"is replaced after its call: {why}" in daemon.log


def _assert_planned(daemon: Daemon) -> None:
    """It was asked to stop, and its end is no failure."""
    status = daemon.wait_for(lambda _: "teardown" in daemon.notes)
    assert not any(one["restarts_too_often"] for one in status["deployments"])
    assert daemon.notes.count("teardown") == 1


@pytest.mark.fault("A18")
@pytest.mark.parametrize(("how", "why"), [("names", "descriptors: "), ("files", "temporary files: ")])
def test_what_a_worker_leaves_outside_its_process_goes_with_it(tmp_path: Path, how: str, why: str) -> None:
    kept = Path("/dev/shm") / f"pv-foreign-{os.getpid()}"
    kept.write_bytes(b"another program's")
    try:
        with around_a_fault(tmp_path, "littering") as daemon, daemon.client() as client:
            results = [inspect(client, "L2")]
            while results[-1]["incarnation"] == 1 and len(results) < MANY:
                results.append(inspect(client, "L2", user_params={"how": how}))
            assert {(one["status"], one["attempts"]) for one in results} == {("OK", 1)}
            assert results[-1]["incarnation"] == 2
            assert f"is replaced after its call: {why}" in daemon.log
            if how == "names":
                names = f"pvleft-{results[0]['data']['os_pid']}-*"
                daemon.wait_for(lambda _: not list(kept.parent.glob(names)))
                assert daemon.status()["shared_names_removed"] > 512
            else:
                folder = next(Path(word) for word in daemon.notes if "/" in word)
                assert folder.name == "littering-0-1" and not folder.exists()
            assert client.status()["memory"] == {"recycled": 1, "ended": 0}
        assert kept.exists()
    finally:
        kept.unlink()
        for left in kept.parent.glob("pvleft-*"):
            left.unlink()


def test_a_station_sets_the_limit_of_packages_that_name_none(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", workers__memory_mb=333) as daemon:
        daemon.wait_ready()
        limits = Path(f"/proc/{daemon.worker('steady')['os_pid']}/limits").read_text("ascii").splitlines()
    (data,) = [line.split() for line in limits if line.startswith("Max data size")]
    assert data[3:5] == [str(int(333 * 1.5) * 1024 * 1024)] * 2


def test_numeric_libraries_do_not_get_every_core(tmp_path: Path) -> None:
    with serving(tmp_path, "hoarding") as daemon, daemon.client() as client:
        told = inspect(client, "H1", user_params={"how": "tell_environment"})["data"]["threads"]
        assert daemon.worker("hoarding")["state"] == "READY"
    assert int(told) == max(1, len(os.sched_getaffinity(0)) // 2)
