"""Who works on packages computes, reads and writes when the line does not want to (spec.md §10.24, §10.46)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from procvision_sdk.errors import ProcVisionError
from runner.config import StationConfig
from runner.home import Home
from runner.package_process import PackageProcesses
from runner.packages.behind import NICE

ROOT = Path(__file__).parents[3]
AUTOGROUP = Path("/proc/self/autogroup")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sessions, idle class and nice as Linux has them")
needs_autogroups = pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel has no autogroups")


def standing(os_pid: int) -> tuple[int, int, str, list[int]]:
    """Nice, class of the disk, nice of the session, and the cores."""
    process, session = psutil.Process(os_pid), Path(f"/proc/{os_pid}/autogroup")
    of_session = session.read_text().split()[-1] if session.exists() else ""
    return process.nice(), int(process.ionice().ioclass), of_session, process.cpu_affinity()


def test_an_operation_of_a_station_that_serves_runs_behind_the_line(tmp_path: Path) -> None:
    gate = tmp_path / "key.pub"
    os.mkfifo(gate)
    of_session = str(NICE) if AUTOGROUP.exists() else ""
    last_core = [max(os.sched_getaffinity(0))]
    expected = (min(19, os.nice(0) + NICE), int(psutil.IOPRIO_CLASS_IDLE), of_session, last_core)

    async def seen() -> tuple[int, int, str, list[int]]:
        processes = PackageProcesses(Home(tmp_path / "home"))
        asked = {"path": str(gate)}
        work = asyncio.create_task(processes.perform(StationConfig(), "t", "trust_add", asked))
        # It has read its order, and waits for the key, once this can be opened.
        descriptor = await asyncio.to_thread(os.open, gate, os.O_WRONLY)
        (os_pid,) = processes.os_pids
        found = standing(os_pid)
        os.close(descriptor)
        with pytest.raises(ProcVisionError):
            await work
        return found

    assert asyncio.run(seen()) == expected


WORKER = """
import asyncio, sys
from pathlib import Path
from runner.workers import process
from runner.workers.launch import LaunchPlan
from runner.workers.process import WorkerProcess

if sys.argv[2]:
    process.OWN_SESSION.write_text(sys.argv[2])
else:
    process.OWN_SESSION = Path("/dev/null")
ended = asyncio.Event()


class Listener:
    def on_body(self, body): ...
    def on_bad_frame(self, reason): ...
    def on_log(self, data): print(data.decode().split()[-1])
    def on_exit(self, reason): ended.set()


async def main():
    command = ("/bin/sh", "-c", "read line; cat /proc/self/autogroup >&2")
    one = WorkerProcess(LaunchPlan(command, Path("/"), {}, Path(sys.argv[1]) / "scratch"), Listener())
    await one.start()
    one.send(b"\\n")
    await ended.wait()

asyncio.run(main())
"""


def standing_of_a_worker(folder: Path, nice: str) -> str:
    """Of one whose runner stands in a session with this nice; "": in none, where no session was ever begun."""
    done = subprocess.run(
        (sys.executable, "-c", WORKER, str(folder), nice),
        cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=True, timeout=60,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr


@needs_autogroups
@pytest.mark.parametrize("nice", ["0", "15"])
def test_a_worker_has_the_standing_of_whoever_started_it(tmp_path: Path, nice: str) -> None:
    assert standing_of_a_worker(tmp_path, nice) == nice


@needs_autogroups
def test_a_worker_is_heard_where_no_session_was_ever_begun(tmp_path: Path) -> None:
    assert standing_of_a_worker(tmp_path, "") == "0"
