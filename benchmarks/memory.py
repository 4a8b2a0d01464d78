"""How much memory the runner and an adapter take, and how long an adapter takes to say hello.

    python -m benchmarks.memory [--starts 10] [--calls 200] [--json]

runner     after some inspections
adapter    a worker after the same inspections less a bare interpreter that has imported what its algorithm works with
           (numpy) in the same environment
hello      from the start of the process to the first byte of its hello, the median over some starts: as a project
           folder is started, and as an installed package is

Memory is told twice, both times without slots. `resident`: every page that is there, the code of shared libraries
too, of which the machine keeps one copy for all processes. `own`: anonymous pages, what one process more costs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.station import PROJECT, connect, start_daemon
from runner.workers import launch

MIB = 1024 * 1024
ALGORITHMS_IMPORTS = "import numpy"


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes of one process, shared memory left out."""

    resident: int
    own: int


def taken_by(os_pid: int) -> Taken:
    """As Linux counts it; elsewhere the resident size stands for both."""
    told = Path(f"/proc/{os_pid}/status")
    if not told.exists():
        resident = int(psutil.Process(os_pid).memory_info().rss)
        return Taken(resident, resident)
    fields = dict(line.split(":", 1) for line in told.read_text("ascii", errors="replace").splitlines() if ":" in line)
    anonymous, of_files = (int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
    return Taken(anonymous + of_files, anonymous)


def environment() -> dict[str, str]:
    """What a runner gives a process: its caps on threads decide how much numpy's libraries set aside."""
    return launch.environment({}, Path(tempfile.gettempdir()), PROJECT)


def bare() -> Taken:
    """An interpreter that has imported what the algorithm imports, and waits."""
    program = f"{ALGORITHMS_IMPORTS}\nprint(flush=True)\ninput()"
    command = [sys.executable, "-B", "-c", program]
    with subprocess.Popen(command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        found = taken_by(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
    return found


def of_a_station(calls: int) -> tuple[Taken, Taken]:
    """The runner, and the worker that has answered `calls` inspections."""
    with ExitStack() as stack:
        home, daemon = start_daemon(stack, {"store.durability": '"none"', "slots.capacity_bytes": "2000000"})
        client = connect(stack, home)
        lease = client.lease()
        meta = lease.put(np.zeros((640, 640, 3), np.uint8), camera_id="bench")
        for _ in range(calls):
            assert client.inspect("NULL", lease, meta, step_index=1, keep=True)["status"] == "OK"
        workers = [
            one for one in psutil.Process(daemon).children() if "procvision_sdk.adapter" in " ".join(one.cmdline())
        ]
        busy = max(workers, key=lambda one: sum(one.cpu_times()[:2]))
        return taken_by(daemon), taken_by(busy.pid)


def hello_ms(starts: int, isolated: bool) -> float:
    """From the start of a process to its hello, as a runner starts one; the median."""
    command = launch.command(Path(sys.executable), isolated, launch.ProcessLimits(memory_mb=1024))
    found = []
    for _ in range(starts):
        began = time.perf_counter()
        with subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.read(1)
            found.append((time.perf_counter() - began) * 1000)
            process.stdin.close()
            process.stdout.read()
    return median(found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory, and the time to hello.")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200, help="inspections before memory is read")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runner, worker = of_a_station(given.calls)
    without = bare()
    told = {
        "runner_resident_mb": runner.resident / MIB,
        "runner_own_mb": runner.own / MIB,
        "adapter_over_imports_resident_mb": (worker.resident - without.resident) / MIB,
        "adapter_over_imports_own_mb": (worker.own - without.own) / MIB,
        "worker_resident_mb": worker.resident / MIB,
        "bare_resident_mb": without.resident / MIB,
        "hello_project_ms": hello_ms(given.starts, isolated=False),
        "hello_package_ms": hello_ms(given.starts, isolated=True),
    }
    if given.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name:34}{value:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
