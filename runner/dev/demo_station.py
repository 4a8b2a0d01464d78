"""A real daemon in a folder of its own for the length of a demo, and what it left behind, looked up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import psutil

from procvision_sdk.errors import StationError
from runner.clock import monotonic_s, pause_s
from runner.health import Health
from runner.host.client import Client, RunnerUnreachableError

_START_S = 60.0
_STOP_S = 20.0


class Leftovers(NamedTuple):
    """Process ids that live on, and names in shared memory; both empty after a clean stop."""

    processes: tuple[int, ...]
    segments: tuple[str, ...]


@dataclass(slots=True)
class DemoStation:
    """The daemon's process, its folder, and everything it has started."""

    home: Path
    name: str
    daemon: subprocess.Popen[bytes]
    seen: set[psutil.Process]

    @classmethod
    def start(cls, *projects: Path) -> DemoStation:
        """A daemon that serves `projects` and the hanging algorithm; small slots, so that any /dev/shm has room."""
        home = Path(tempfile.mkdtemp(prefix="procvision-demo-"))
        name = f"demo-{os.getpid()}"
        (home / "station.toml").write_text(
            f'station = "{name}"\n[slots]\ncount = 4\ncapacity_bytes = 1_300_000\n[store]\ndurability = "none"\n',
            encoding="utf-8",
        )
        served = [*projects, Path(__file__).parent / "demo_hang"]
        options = [part for project in served for part in ("--project", str(project))]
        command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home), *options]
        daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        return cls(home, name, daemon, {psutil.Process(daemon.pid)})

    def connect(self) -> Client:
        """A client of the station once every deployment is READY; StationError when that does not happen."""
        give_up_at_s = monotonic_s() + _START_S
        while monotonic_s() < give_up_at_s and self.daemon.poll() is None:
            try:
                client = Client.at(self.home, client_id="demo-camera")
            except RunnerUnreachableError:
                pause_s(0.05)
                continue
            while client.status()["health"] != Health.READY.value and monotonic_s() < give_up_at_s:
                pause_s(0.05)
            self._look()
            return client
        log = self.home / "logs" / "runner.log"
        told = log.read_text(encoding="utf-8")[-2000:] if log.exists() else ""
        raise StationError(f"the demo's daemon did not become ready (exit {self.daemon.poll()})\n{told}")

    def __enter__(self) -> DemoStation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._look()
        self.daemon.terminate()
        try:
            self.daemon.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def leftovers(self) -> Leftovers:
        """Processes of this station that still run, and its segments that still have a name."""
        processes = tuple(one.pid for one in self.seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE)
        folder = Path("/dev/shm")
        segments = tuple(path.name for path in folder.glob(f"pv-{self.name}-*")) if folder.is_dir() else ()
        return Leftovers(processes, segments)

    def _look(self) -> None:
        """Remember every process the daemon has started up to now, with its start time."""
        if self.daemon.poll() is None:
            self.seen |= set(psutil.Process(self.daemon.pid).children(recursive=True))
