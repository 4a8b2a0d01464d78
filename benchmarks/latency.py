"""First latency figures: a null inspection host -> runner -> worker -> host, beside a bare pipe ping-pong.

    python -m benchmarks.latency [--rounds 5] [--calls 400] [--json]

One inspection = one step = one worker trip (phase `step`) with validation, a session and supervision. Rounds of all
rows are interleaved; each request changes a pixel of the slot and checks that the answer saw it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from runner.host.client import Client, Lease, RunnerUnreachableError

SIZES = {"640x640x3": (640, 640), "1920x1200x3": (1200, 1920), "4096x3000x3": (3000, 4096)}
MESSAGE_BYTES = 600
_ECHO = "import os\nwhile data := os.read(0, 65536): os.write(1, data)"


def pipe_row(stack: ExitStack) -> Callable[[], None]:
    """One round trip of a 600-byte message through two pipes to another CPython process."""
    echo = stack.enter_context(
        subprocess.Popen([sys.executable, "-c", _ECHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    assert echo.stdin is not None and echo.stdout is not None
    stack.callback(echo.stdin.close)
    writing, reading, message = echo.stdin.fileno(), echo.stdout.fileno(), b"x" * MESSAGE_BYTES

    def trip() -> None:
        os.write(writing, message)
        assert len(os.read(reading, 65536)) == MESSAGE_BYTES

    return trip


def inspection_row(client: Client, shape: tuple[int, int]) -> Callable[[], None]:
    """One null inspection of an image of this shape that lies in a slot already."""
    lease: Lease = client.lease()
    meta = lease.put(np.zeros((*shape, 3), np.uint8), camera_id="bench")
    value = 0

    def trip() -> None:
        nonlocal value
        value = (value + 1) % 256
        lease.buffer()[0] = value
        result = client.inspect("NULL", lease, meta, step_index=1, keep=True)
        assert result["status"] == "OK" and result["copies"] == 0, result
        assert result["data"]["patch"] == value, (result["data"], value)

    return trip


def start_station(stack: ExitStack) -> Client:
    """A daemon that serves the null algorithm, with slots for the largest image."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = f'station = "bench-{os.getpid()}"\nslots.count = 4\nstore.durability = "none"\n'
    (home / "station.toml").write_text(settings, encoding="utf-8")
    project = Path(__file__).parent / "null_algorithm"
    command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home), "--project", str(project)]
    daemon = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    stack.callback(daemon.terminate)
    for _ in range(600):
        try:
            client = stack.enter_context(Client.at(home))
            break
        except RunnerUnreachableError:
            time.sleep(0.05)
    while client.status()["health"] != "READY":
        time.sleep(0.05)
    return client


def measure(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """p50 and p99 in microseconds per row: the median over the rounds."""
    with ExitStack() as stack:
        rows = {"pipe ping-pong, 600 bytes": pipe_row(stack)}
        client = start_station(stack)
        rows |= {f"null inspection {name}": inspection_row(client, shape) for name, shape in SIZES.items()}
        samples: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
        for _ in range(rounds):
            for name, trip in rows.items():
                samples[name].append(_round(trip, calls))
    return {
        name: {
            "p50_us": float(np.median([one[0] for one in found])),
            "p99_us": float(np.median([one[1] for one in found])),
        }
        for name, found in samples.items()
    }


def _round(trip: Callable[[], None], calls: int) -> tuple[float, float]:
    for _ in range(calls // 10):
        trip()
    times = []
    for _ in range(calls):
        began = time.perf_counter_ns()
        trip()
        times.append((time.perf_counter_ns() - began) / 1000)
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.rounds, options.calls)
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    if options.json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
        return
    print(f"Python {machine['python']}, {machine['system']}, {machine['cores']} cores; load {os.getloadavg()[0]:.1f}")
    bare = rows["pipe ping-pong, 600 bytes"]["p50_us"]
    for name, row in rows.items():
        print(
            f"{name:30} p50 {row['p50_us']:7.0f} us   p99 {row['p99_us']:7.0f} us   {row['p50_us'] / bare:5.1f} x pipe"
        )


if __name__ == "__main__":
    main()
