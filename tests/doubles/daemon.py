"""A real runner in a process of its own, as an integrator starts it: `procvision-runner serve`.

    with serving(folder, "steady") as daemon:        # projects are folders in tests/algorithms/daemon
        with daemon.client() as client: ...

When the block ends well, nothing may be lost: every inspection is counted, every slot is free or in quarantine, and
the runner stops with exit code 0.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from runner.host.client import Client, Lease
from tests.doubles.raw_host import LIMIT_S, RawHost

ROOT = Path(__file__).parents[2]
PROJECTS = ROOT / "tests" / "algorithms" / "daemon"
# Small, so that a start costs nothing.
SLOTS = 4
CAPACITY_BYTES = 65_536
IMAGE = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
Settings = Mapping[str, object]


class Daemon:
    """One life of a runner on the station folder `home`; `folder` is where tests and algorithms meet."""

    def __init__(self, home: Path, projects: tuple[str, ...], settings: Settings) -> None:
        self.folder = folder = home.parent
        self.home = home
        self.log_path = folder / "daemon.log"
        self.temporary = folder / "tmp"
        self._projects = projects
        for made in (self.home, self.temporary):
            made.mkdir(exist_ok=True)
        own: dict[str, object] = {"station": "tested", "slots.count": SLOTS, "slots.capacity_bytes": CAPACITY_BYTES}
        own |= {"environment.PROC_TEST_FOLDER": str(folder), "heartbeat.interval_s": 60.0}
        # Tests leave their folders behind for a while.
        own |= {"store.ballast_mb": 0}
        # One process a deployment, so that a test can follow it; what a standby changes has tests of its own.
        own |= {"workers.standby": 0, "workers.restarts": 1000, **settings}
        self.settings = own
        self.configure()
        self.slots = own["slots.count"]
        self.process = self.start()

    def configure(self, **settings: object) -> None:
        """Write station.toml, with these settings beside those it has: `slots__count=2`."""
        self.settings |= {key.replace("__", "."): value for key, value in settings.items()}
        # A dotted key and a JSON scalar are TOML too.
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in self.settings.items()]
        (self.home / "station.toml").write_text("".join(lines), "utf-8")

    def command(self) -> list[str]:
        projects = [word for name in self._projects for word in ("--project", str(PROJECTS / name))]
        return [sys.executable, "-m", "runner.cli", "serve", "--home", str(self.home), *projects]

    def environment(self) -> dict[str, str]:
        """What the runner is started with: nothing of the test's own surroundings but where things lie."""
        return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it (again); returns once hosts can connect."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, stderr=log
            )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        if not told.startswith(b"serving at "):
            self.kill()
            raise AssertionError(f"it does not serve: {told!r}\n{self.log}")
        return self.process

    @property
    def log(self) -> str:
        """What it wrote to stderr, and to its own log."""
        paths = (self.log_path, self.home / "logs" / "runner.log")
        return "\n".join(path.read_text("utf-8", "replace") for path in paths if path.exists())

    @property
    def notes(self) -> list[str]:
        """What the algorithms noted, in order."""
        path = self.folder / "notes"
        return path.read_text("utf-8").split() if path.exists() else []

    def client(self, client_id: str | None = None) -> Client:
        return Client.at(self.home, client_id)

    def host(self, **hello: Any) -> RawHost:
        return RawHost.greeted(self.home, **hello)

    def status(self) -> dict[str, Any]:
        with self.client() as client:
            return client.status()

    def wait_for(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first status for which this holds; looks again after each event."""
        with self.host() as watch:
            watch.ask("subscribe", topics=["workers", "results"])
            while True:
                status: dict[str, Any] = watch.ask("status")["data"]
                if condition(status):
                    return status
                watch.hear_event()

    def wait_ready(self) -> dict[str, Any]:
        return self.wait_for(lambda status: status["health"] == "READY")

    def worker(self, deployment: str) -> dict[str, Any]:
        """The status of a deployment's one worker."""
        return worker_in(self.status(), deployment)

    def gate(self, name: str) -> Gate:
        return Gate(self.folder / name)

    def own_processes(self) -> list[psutil.Process]:
        """The runner and everything below it."""
        runner = psutil.Process(self.process.pid)
        return [runner, *runner.children(recursive=True)]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it hard, as a power cut would."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.exit_code()

    def exit_code(self) -> int:
        """Wait for its end."""
        code = self.process.wait(LIMIT_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def stop(self) -> int:
        """Ask it to stop, as an init system does; its exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def assert_nothing_is_lost(self) -> None:
        """Every inspection was counted once, and no slot is held by a host that is gone."""
        status = self.wait_for(lambda status: status["inspections"]["in_flight"] == 0)
        told = dict(status["inspections"])
        submitted = told.pop("submitted")
        assert submitted == sum(told.values()), status["inspections"]
        with self.host() as host:
            # Each answer is one turn of the runner's loop: links that were closed before are gone after a few.
            for _ in range(1000):
                slots = host.ask("status")["data"]["slots"]
                if slots["free"] + slots["quarantined"] == self.slots:
                    return
        raise AssertionError(f"slots are held by nobody: {slots}")


class Gate:
    """A named pipe at which an algorithm waits: `with gate: ...` runs while it stands there, then lets it through."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        with suppress(FileExistsError):
            os.mkfifo(path)

    def __enter__(self) -> Gate:
        self._descriptor = os.open(self._path, os.O_WRONLY)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def let_through(self) -> None:
        """Wait until somebody stands there, and open once."""
        with self:
            return


@contextmanager
def serving(folder: Path, *projects: str, home: str = "home", **settings: object) -> Iterator[Daemon]:
    """A runner that hosts can connect to; settings are written `slots__count=2`."""
    daemon = Daemon(folder / home, projects, {key.replace("__", "."): value for key, value in settings.items()})
    try:
        yield daemon
        if daemon.process.poll() is None:
            daemon.assert_nothing_is_lost()
            assert daemon.stop() == 0, daemon.log
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
        elif daemon.process.stdout is not None:
            daemon.process.stdout.close()


def worker_in(status: dict[str, Any], deployment: str) -> dict[str, Any]:
    """The one worker of a deployment."""
    return next(one["workers"][0] for one in status["deployments"] if one["name"] == deployment)


def inspect(client: Client, pid: str, **fields: Any) -> dict[str, Any]:
    """Lease a slot, fill it with IMAGE, inspect it. A lease that was not used up goes back."""
    lease = client.lease()
    result = client.inspect(pid, lease, lease.put(IMAGE), **{"renew": False, **fields})
    if not result.get("deployment"):
        client.release(lease)
    return result


def submit(client: Client, pid: str, **fields: Any) -> tuple[str, Lease]:
    """The same without waiting for the answer: the request's id, and the lease it uses up."""
    lease = client.lease()
    return client.submit(pid, lease, lease.put(IMAGE), **fields), lease
