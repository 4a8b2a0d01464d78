"""A killed runner leaves no process, and the next one clears away what it left and nothing else (spec.md §3.18)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from runner.host.client import RunnerUnreachableError
from runner.slots import segment
from tests.doubles.daemon import Daemon, inspect, serving, submit
from tests.doubles.raw_host import LIMIT_S

SHARED_MEMORY = Path("/dev/shm")


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run LIMIT_S later; one that nobody has reaped yet is gone."""
    _, left = psutil.wait_procs([one for one in processes if not _is_dead(one)], LIMIT_S)
    return [one for one in left if not _is_dead(one)]


def _is_dead(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextmanager
def foreign_segment(name: str) -> Iterator[Path]:
    """Something in shared memory that is not this station's."""
    path = SHARED_MEMORY / name
    path.write_bytes(b"foreign")
    try:
        yield path
    finally:
        path.unlink()


def kill_during_a_call(daemon: Daemon) -> list[psutil.Process]:
    """Kill the runner while its worker is in a hook; its processes."""
    with daemon.client() as client:
        submit(client, "S1", step_index=1, user_params={"gate": "killed"})
        with daemon.gate("killed"):
            processes = daemon.own_processes()
            daemon.kill()
            assert alive(processes) == []
        with pytest.raises(RunnerUnreachableError):
            client.status()
    return processes


@pytest.mark.fault("B1")
def test_a_killed_runner_takes_its_workers_with_it_and_no_teardown_runs(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        processes = kill_during_a_call(daemon)
        assert len(processes) == 2
        assert daemon.notes == ["setup"]
        _next_life_sweeps(daemon)


@pytest.mark.fault("B1")
def test_a_worker_that_is_stuck_in_native_code_ends_with_its_killed_runner_too(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging") as daemon, daemon.client() as client:
        daemon.wait_ready()
        submit(client, "H1", user_params={"how": "native"})
        while "native" not in daemon.notes:
            client.status()
        processes = daemon.own_processes()
        daemon.kill()
        assert alive(processes) == []
        _next_life_sweeps(daemon)


def _next_life_sweeps(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.stop() == 0


@pytest.mark.fault("B1", "B17", "B21")
def test_the_next_runner_clears_away_what_a_killed_one_left_and_serves(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", station="swept") as daemon:
        daemon.wait_ready()
        with daemon.host() as host:
            left = SHARED_MEMORY / host.welcome["arena"]["segment"]
        kill_during_a_call(daemon)
        assert left.exists() and (daemon.home / "run" / "runner.sock").exists()
        daemon.start()
        daemon.wait_ready()
        assert not left.exists()
        assert "of a killed runner was removed" in daemon.log
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
    assert list(daemon.temporary.iterdir()) == []
    assert not list(SHARED_MEMORY.glob("pv-swept-*"))


@pytest.mark.fault("B17", "B18")
def test_a_socket_in_the_temporary_folder_is_cleared_away_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(tmp_path_factory.mktemp("deep"), home="d" * 60) as daemon:
        daemon.kill()
        assert len(list(daemon.temporary.glob("*/runner.sock"))) == 1
        daemon.start()
        assert len(list(daemon.temporary.glob("*/runner.sock"))) == 1
    assert list(daemon.temporary.iterdir()) == []


@pytest.mark.fault("B21")
def test_the_sweep_leaves_alone_what_is_not_certainly_a_dead_runner_of_this_station(tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").replace("-", "")[:8]
    living = segment.own_name("mine")
    names = [
        living,
        f"pv-other-{boot}-1-1",  # another station's
        f"pv-mine-too-{boot}-1-1",
        "pv-mine-notes",
        f"pv-mine-{boot}-x-1",
        "pvdev-0123456789abcdef",
    ]
    dead = f"pv-mine-{boot}-{os.getpid()}-1"  # the process id is in use again
    earlier_boot = living.replace(boot, "00000000")
    for name in (dead, earlier_boot):
        (SHARED_MEMORY / name).write_bytes(b"left")
    with ExitStack() as kept:
        paths = [kept.enter_context(foreign_segment(name)) for name in names]
        with serving(tmp_path, station="mine"):
            assert [path.read_bytes() for path in paths] == [b"foreign"] * len(names)
            assert not (SHARED_MEMORY / dead).exists()
            assert not (SHARED_MEMORY / earlier_boot).exists()


@pytest.mark.fault("B16")
def test_a_second_runner_on_the_same_station_gives_up_naming_the_first_which_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        second = subprocess.run(daemon.command(), env=daemon.environment(), capture_output=True, timeout=LIMIT_S)
        assert second.returncode == 75
        assert f"process {daemon.process.pid}" in second.stderr.decode()
        assert b"--home" in second.stderr and b"Traceback" not in second.stderr
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"


@pytest.mark.fault("B17")
def test_a_stale_lock_and_a_stale_address_do_not_stop_a_start(tmp_path: Path) -> None:
    run = tmp_path / "home" / "run"
    run.mkdir(parents=True)
    (run / "lock").write_text(str(os.getpid()))
    (run / "address").write_text(f"unix:{tmp_path}/elsewhere/runner.sock")
    (run / "runner.sock").write_bytes(b"")
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()


@pytest.mark.fault("B22")
def test_a_host_that_is_killed_does_not_take_the_segment_with_it(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        program = "import sys, os; from pathlib import Path; from runner.host.client import Client; "
        program += "c = Client.at(Path(sys.argv[1])); [c.lease() for _ in range(4)]; os.kill(os.getpid(), 9)"
        command = [daemon.command()[0], "-c", program, str(daemon.home)]
        assert subprocess.run(command, env=daemon.environment(), timeout=LIMIT_S).returncode == -9
        with daemon.host() as host:
            assert (SHARED_MEMORY / host.welcome["arena"]["segment"]).exists()
        with daemon.client() as client:
            assert inspect(client, "S1")["status"] == "OK"
