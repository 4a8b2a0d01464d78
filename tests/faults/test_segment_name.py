"""The name of the segment is taken away by somebody while the station serves (spec.md §3.18)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, worker_in
from tests.doubles.raw_host import LIMIT_S

SHARED_MEMORY = Path("/dev/shm")
# What a host does whose Python is older than 3.13: its resource tracker unlinks the name when it ends.
ATTACH_AND_END = "import sys; from multiprocessing.shared_memory import SharedMemory; SharedMemory(sys.argv[1])"


def taken_by_a_tracker(path: Path) -> None:
    subprocess.run([sys.executable, "-c", ATTACH_AND_END, path.name], capture_output=True, timeout=LIMIT_S, check=True)
    if sys.version_info < (3, 13):
        path.unlink(missing_ok=True)  # the tracker ends a moment later than its process


def replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"something else")


def wait_until_named(daemon: Daemon, path: Path, inode: int) -> None:
    with daemon.host() as host:
        while not path.exists() or path.stat().st_ino != inode:
            host.ask("status")


@pytest.mark.fault("B22")
@pytest.mark.parametrize("take", [taken_by_a_tracker, Path.unlink, replaced])
def test_a_name_that_was_taken_is_given_back_and_new_hosts_and_workers_find_the_same_memory(
    tmp_path: Path, take: object
) -> None:
    assert callable(take)
    with around_a_fault(tmp_path, "printing") as daemon, daemon.client() as client:
        path = SHARED_MEMORY / client.welcome["arena"]["segment"]
        inode = path.stat().st_ino
        take(path)
        assert inspect(client, "S1")["status"] == "OK"  # who has it mapped notices nothing
        wait_until_named(daemon, path, inode)
        assert "had lost its name to somebody" in daemon.log
        os.kill(daemon.worker("printing")["os_pid"], signal.SIGKILL)
        daemon.wait_for(lambda status: worker_in(status, "printing")["restarts"] == 1)
        with daemon.client() as another:
            assert inspect(another, "P1")["status"] == "OK"
        assert client.status()["health"] == "READY"


@pytest.mark.fault("B22")
def test_a_segment_whose_both_names_are_gone_is_told_and_serves_those_who_have_it(tmp_path: Path) -> None:
    with around_a_fault(tmp_path) as daemon, daemon.client() as client:
        path = SHARED_MEMORY / client.welcome["arena"]["segment"]
        kept = tmp_path / "kept"
        for name in (path, SHARED_MEMORY / f".{path.name}"):
            name.rename(SHARED_MEMORY / f"pvdev-{name.name}") if name == path else name.unlink()
        with daemon.host() as host:
            while "segment" not in (status := host.ask("status")["data"])["problems"]:
                assert not kept.exists()
        assert status["health"] == "DEGRADED"
        assert f"{path.name} was removed by somebody: start the station anew" in status["problems"]["segment"]
        assert inspect(client, "S1")["status"] == "OK"
        (SHARED_MEMORY / f"pvdev-{path.name}").rename(path)
