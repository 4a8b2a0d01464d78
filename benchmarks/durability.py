"""What it costs to record a result: a null inspection with durability none, process and power, side by side.

    python -m benchmarks.durability [--rounds 5] [--calls 300] [--hosts 4] [--json]

Three stations on one disk; rounds are interleaved, so that all meet the same machine. One host asks one inspection
after the other; then several hosts at once, where a commit serves more than one of them. What fsync alone costs on
this disk is printed beside it: a disk that answers faster than it can write does not keep what it promised.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from runner.host.client import Client, Lease, RunnerUnreachableError

MODES = ("none", "process", "power")
SHAPE = (480, 640, 3)


class Host:
    """One link with an image in its slot; `trip` is one inspection."""

    def __init__(self, client: Client, mode: str) -> None:
        self._client, self._mode = client, mode
        self._lease: Lease = client.lease()
        self._meta = self._lease.put(np.zeros(SHAPE, np.uint8), camera_id="bench")

    def trip(self) -> None:
        result = self._client.inspect("NULL", self._lease, self._meta, step_index=1, keep=True)
        assert (result["status"], result["recorded"]) == ("OK", self._mode), result


def start_station(stack: ExitStack, folder: Path, mode: str) -> Path:
    """The home of a daemon that serves the null algorithm."""
    home = folder / mode
    home.mkdir()
    settings = f'station = "bench-{os.getpid()}-{mode}"\nslots.count = 12\nslots.capacity_bytes = 1000000\n'
    (home / "station.toml").write_text(settings + f'store.durability = "{mode}"\n', encoding="utf-8")
    project = Path(__file__).parent / "null_algorithm"
    command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home), "--project", str(project)]
    daemon = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    stack.callback(daemon.terminate)
    return home


def connect(stack: ExitStack, home: Path) -> Client:
    for _ in range(600):
        try:
            client = stack.enter_context(Client.at(home))
            break
        except RunnerUnreachableError:
            time.sleep(0.05)
    while client.status()["health"] != "READY":
        time.sleep(0.05)
    return client


def sync_row(stack: ExitStack, folder: Path) -> Callable[[], None]:
    """One page written and synced to the disk, without any database."""
    file = stack.enter_context((folder / "sync").open("wb", buffering=0))

    def trip() -> None:
        file.write(b"x" * 4096)
        os.fsync(file.fileno())

    return trip


def latencies_ms(trip: Callable[[], None], calls: int) -> list[float]:
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        trip()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def together_per_s(hosts: list[Host], calls: int) -> float:
    """Inspections a second of all hosts at once."""

    def work(host: Host) -> None:
        for _ in range(calls):
            host.trip()

    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(hosts) * calls / (time.perf_counter() - started)


def measure(rounds: int, calls: int, hosts: int) -> dict[str, dict[str, float]]:
    """p50 and p99 in milliseconds over all rounds, and inspections a second with several hosts (median round)."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        homes = {mode: start_station(stack, folder, mode) for mode in MODES}
        links = {mode: [Host(connect(stack, home), mode) for _ in range(hosts)] for mode, home in homes.items()}
        rows = {"fsync of one page": sync_row(stack, folder)}
        rows |= {f"inspection, {mode}": found[0].trip for mode, found in links.items()}
        taken: dict[str, list[float]] = {name: [] for name in rows}
        rates: dict[str, list[float]] = {f"inspection, {mode}": [] for mode in MODES}
        for trip in rows.values():
            latencies_ms(trip, 20)
        for _ in range(rounds):
            for name, trip in rows.items():
                taken[name] += latencies_ms(trip, calls)
            for mode in MODES:
                rates[f"inspection, {mode}"].append(together_per_s(links[mode], calls // hosts))
    told = {
        name: dict(zip(("p50_ms", "p99_ms"), np.percentile(found, (50, 99)).tolist(), strict=True))
        for name, found in taken.items()
    }
    for name, found in rates.items():
        told[name]["together_per_s"] = float(np.median(found))
    return told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability", description="The price of recording.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300, help="inspections in a round")
    parser.add_argument("--hosts", type=int, default=4, help="hosts at once")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    told = measure(arguments.rounds, arguments.calls, arguments.hosts)
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores"
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": told}))
        return 0
    print(f"{machine}; {arguments.rounds} rounds of {arguments.calls}, {arguments.hosts} hosts together")
    for name, row in told.items():
        rate = f"  {row['together_per_s']:7.0f} per s together" if "together_per_s" in row else ""
        print(f"{name:22} p50 {row['p50_ms']:7.3f} ms  p99 {row['p99_ms']:7.3f} ms{rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
