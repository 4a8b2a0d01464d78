"""How much memory the runner and an adapter take, and how long an adapter takes to say hello.

    python -m benchmarks.memory [--starts 10] [--calls 200] [--json]

runner     resident after some inspections, without the pages of slots
adapter    a worker after the same inspections less a bare interpreter with the imports of its algorithm (numpy),
           slots left out of both
hello      from the start of the process to the first byte of its hello: the median over some starts
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np
import psutil

from benchmarks.station import PROJECT, connect, start_daemon

MIB = 1024 * 1024
ALGORITHMS_IMPORTS = "import numpy"


def resident_bytes(os_pid: int) -> int:
    """Resident, without shared memory: slots count for nobody."""
    told = Path(f"/proc/{os_pid}/status")
    if not told.exists():
        return int(psutil.Process(os_pid).memory_info().rss)
    fields = dict(line.split(":", 1) for line in told.read_text("ascii", errors="replace").splitlines() if ":" in line)
    return sum(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))


def bare_bytes() -> int:
    """An interpreter that has imported what the algorithm imports, and waits."""
    program = f"{ALGORITHMS_IMPORTS}\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        found = resident_bytes(process.pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
    return found


def of_a_station(calls: int) -> tuple[int, int]:
    """Bytes of the runner, and of the worker that has answered `calls` inspections."""
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
        return resident_bytes(daemon), resident_bytes(busy.pid)


def hello_ms(starts: int) -> list[float]:
    """From the start of a process to its hello, as a runner starts one for a project folder."""
    found = []
    for _ in range(starts):
        environment = {**os.environ, "PROC_ALGO_ROOT": str(PROJECT)}
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-B", "-m", "procvision_sdk.adapter"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdout.read(1)
            found.append((time.perf_counter() - began) * 1000)
            process.stdin.close()
            process.stdout.read()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description="Memory, and the time to hello.")
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--calls", type=int, default=200, help="inspections before memory is read")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runner, worker = of_a_station(given.calls)
    bare, hellos = bare_bytes(), hello_ms(given.starts)
    told = {
        "runner_mb": runner / MIB,
        "worker_mb": worker / MIB,
        "bare_mb": bare / MIB,
        "adapter_over_imports_mb": (worker - bare) / MIB,
        "hello_ms_p50": median(hellos),
        "hello_ms_max": max(hellos),
    }
    if given.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name:26}{value:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
