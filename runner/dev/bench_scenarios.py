"""The scenarios of `procvision bench`, played by the code of the checkout this process runs from (spec.md §11.31).

    in     {"scenario": name, "calls": n} a line, or {"counts": n}
    out    {"scenarios": {name: {unit, better}}} first, then {"samples": [...]}, {"counts": {...}} or {"raised": why}

A process of its own for each checkout, so that two of them can be measured in turn. Needs `benchmarks/null_algorithm`
beside the packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from procvision_sdk.wire import body
from procvision_sdk.wire.host_messages import parse_request
from runner.clock import monotonic_s, pause_s
from runner.host.client import Client, RunnerUnreachableError

NULL_ALGORITHM = Path(__file__).parents[2] / "benchmarks" / "null_algorithm"
_SHAPE = (640, 640, 3)
_START_S = 60.0
# Beside one that is in flight and its successor: a kept lease, and one to spare.
_SLOTS = 4
# What a clock's tick would hide is done so often for one sample.
_REPEATS = 10

Trip = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured; one call of `trip` is `repeats` of it. Samples are microseconds: less is better."""

    trip: Trip
    repeats: int = 1

    def samples_us(self, calls: int) -> list[float]:
        """What each of `calls` took, after a tenth of them to warm up."""
        for _ in range(max(1, calls // 10)):
            self.trip()
        samples = []
        for _ in range(calls):
            began_s = monotonic_s()
            self.trip()
            samples.append((monotonic_s() - began_s) * 1e6 / self.repeats)
        return samples


class Bench:
    """A daemon that serves the null algorithm, its host, and the scenarios on them."""

    def __init__(self, stack: ExitStack) -> None:
        self._daemon, client = _serve(stack)
        self._client = client
        self._kept = client.lease()
        image = np.zeros(_SHAPE, np.uint8)
        self._meta = self._kept.put(image, camera_id="bench")
        self._pixel = self._kept.array(self._meta)[0, 0]
        self._renewed = client.lease()
        self._image = image
        self._value = 0
        self.scenarios = {
            "inspection": Scenario(self.inspect),
            "inspection with one copy in": Scenario(self._put_and_inspect),
            "reading a request": Scenario(_reading(), _REPEATS),
        }

    def inspect(self) -> int:
        """One inspection of a resident image; how often it was copied."""
        self._value = self._value % 255 + 1
        self._pixel[:] = 0, 0, self._value
        result = self._client.inspect("NULL", self._kept, self._meta, step_index=1, keep=True)
        if result["status"] != "OK" or result["data"]["patch"] != self._value:
            raise ValueError(f"expected OK and a patch of {self._value}, got {result}")
        copies: int = result["copies"]
        return copies

    def counts(self, calls: int) -> dict[str, int]:
        """What must be exactly so, whatever the machine does: whole numbers over `calls` inspections."""
        self.inspect()
        before = self._segments()
        copies = sum(self.inspect() for _ in range(calls))
        return {"copies": copies, "segments created after start": len(self._segments() - before)}

    def _put_and_inspect(self) -> None:
        meta = self._renewed.put(self._image, camera_id="bench")
        result = self._client.inspect("NULL", self._renewed, meta, step_index=1)
        if result["status"] != "OK":
            raise ValueError(f"expected OK, got {result}")

    def _segments(self) -> set[str]:
        """What the daemon and its workers have mapped of shared memory; nothing where there is no /proc."""
        family = [self._daemon.pid, *(one.pid for one in psutil.Process(self._daemon.pid).children(recursive=True))]
        maps = [path.read_text("utf-8") for one in family if (path := Path(f"/proc/{one}/maps")).exists()]
        lines = (line.split() for told in maps for line in told.splitlines())
        return {words[5] for words in lines if len(words) > 5 and words[5].startswith("/dev/shm/")}


def _reading() -> Trip:
    asked = {
        "type": "inspect", "request_id": "bench-1", "pid": "NULL", "shared_mem_id": "pv1.pv-bench-0-0-0.0.1",
        "image_meta": {"width": 640, "height": 640, "timestamp_ms": 1_700_000_000_000, "camera_id": "bench"},
        "step_index": 1, "keep": True,
    }  # fmt: skip
    encoded = body.encode(asked)

    def trip() -> None:
        for _ in range(_REPEATS):
            parse_request(body.decode(encoded))

    return trip


def _serve(stack: ExitStack) -> tuple[subprocess.Popen[bytes], Client]:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="procvision-bench-")))
    told = {"station": f'"bench-{os.getpid()}"', "slots.count": _SLOTS, "slots.capacity_bytes": int(np.prod(_SHAPE))}
    told |= {"store.durability": '"none"', "workers.standby": 0}
    (home / "station.toml").write_text("".join(f"{key} = {value}\n" for key, value in told.items()), encoding="utf-8")
    command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home), "--project", str(NULL_ALGORITHM)]
    daemon = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
    stack.callback(daemon.terminate)
    give_up_at_s = monotonic_s() + _START_S
    while monotonic_s() < give_up_at_s and daemon.poll() is None:
        try:
            client = stack.enter_context(Client.at(home))
        except RunnerUnreachableError:
            pause_s(0.05)
            continue
        while monotonic_s() < give_up_at_s and client.status()["health"] != "READY":
            pause_s(0.05)
        return daemon, client
    raise TimeoutError(f"the daemon was not ready after {_START_S:.0f} s (exit {daemon.poll()})")


def main() -> None:
    """Answer line by line until the input ends."""
    with ExitStack() as stack:
        bench = Bench(stack)
        _say({"scenarios": {name: {"unit": "us", "better": "lower"} for name in bench.scenarios}})
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                if "counts" in asked:
                    _say({"counts": bench.counts(asked["counts"])})
                else:
                    _say({"samples": bench.scenarios[asked["scenario"]].samples_us(asked["calls"])})
            except Exception as error:  # noqa: BLE001 - the process boundary: it travels as what was raised
                _say({"raised": f"{type(error).__name__}: {error}"})


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main()
