"""One contestant's process as the driver has it: started, asked for rounds, ended with everything it started."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import psutil

from benchmarks.stage import Order

ROOT = Path(__file__).parents[1]
START_S = 120.0
END_S = 20.0


class LostError(Exception):
    """It ended, hung or broke; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Role:
    """Who takes part, and as what: `name` is the row of the table."""

    name: str
    script: str
    python: str
    durability: str = "none"


@dataclass(frozen=True, slots=True)
class Played:
    """One round. CPU of all processes but the requester's own, microseconds per call."""

    samples_us: list[float]
    per_s: float
    service_cpu_us: float


class Entrant:
    """A running contestant; `absent` says why when it takes no part."""

    def __init__(self, role: Role, size: str, placement: str) -> None:
        self.role = role
        self.absent = ""
        self.version = ""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [role.python, "-m", f"benchmarks.contestants.{role.script}", "--size", size]
        command += ["--placement", placement, "--durability", role.durability]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        self._seen: set[psutil.Process] = set()
        self._told: Queue[bytes] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            told = self._answer(START_S)
        except LostError as error:
            told = {"absent": str(error)}
        self._family()
        self.absent, self.version = told.get("absent", ""), told.get("version", "")

    def play(self, order: Order) -> Played:
        """A round; LostError when the contestant does not survive it, ValueError when it cannot play such a one."""
        assert self._process.stdin is not None
        fields = {name: getattr(order, name) for name in order.__slots__}
        before_s = self._service_cpu_s()
        try:
            self._process.stdin.write(json.dumps(fields).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise LostError(f"{self.role.name} ended: {self._last_words()}") from None
        told = self._answer(30 + 20 * order.budget_s)
        if "absent" in told:
            raise ValueError(told["absent"])
        samples: list[float] = told["samples_us"]
        cpu_us = (self._service_cpu_s() - before_s) * 1e6 / (len(samples) + told["warmed"])
        return Played(samples, len(samples) / told["wall_s"], cpu_us)

    def close(self) -> None:
        """Ask it to end, then end it; nothing of it lives on."""
        family = self._family()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        _, alive = psutil.wait_procs(family, 1.0)
        for one in alive:
            one.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()

    def _family(self) -> list[psutil.Process]:
        """What it has started and is not known to have ended: also when it is gone itself."""
        with suppress(psutil.NoSuchProcess):
            self._seen.update(psutil.Process(self._process.pid).children(recursive=True))
        self._seen = {one for one in self._seen if one.is_running()}
        return list(self._seen)

    def _service_cpu_s(self) -> float:
        return sum(map(cpu_s, self._family()))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(line)
        self._told.put(b"")

    def _answer(self, limit_s: float) -> dict[str, Any]:
        try:
            line = self._told.get(timeout=limit_s)
        except Empty:
            self._process.kill()
            raise LostError(f"{self.role.name} said nothing for {limit_s:.0f} s: {self._last_words()}") from None
        if not line:
            raise LostError(f"{self.role.name} ended: {self._last_words()}")
        told: dict[str, Any] = json.loads(line)
        return told

    def _last_words(self) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return said[-1][:300] if said else "without a word"


def cpu_s(process: psutil.Process) -> float:
    """CPU seconds of a process: to the nanosecond where the system counts so, else to its clock tick."""
    tasks = Path(f"/proc/{process.pid}/task")
    try:
        return sum(int((one / "schedstat").read_text("ascii").split()[0]) for one in tasks.iterdir()) / 1e9
    except (OSError, ValueError, IndexError):
        return _ticks_s(process)


def _ticks_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
