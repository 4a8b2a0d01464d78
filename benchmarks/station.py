"""A real daemon for a benchmark: started by its command, asked through the blocking client."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from runner.host.client import Client, RunnerUnreachableError

PROJECT = Path(__file__).parent / "null_algorithm"
START_S = 60.0


def start_daemon(stack: ExitStack, settings: dict[str, str], project: Path = PROJECT) -> tuple[Path, int]:
    """The home and the process id of a daemon that serves `project`; TOML values in `settings`."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="procvision-bench-")))
    told = {"station": f'"bench-{os.getpid()}"', "slots.count": "8", **settings}
    (home / "station.toml").write_text("".join(f"{key} = {value}\n" for key, value in told.items()), encoding="utf-8")
    command = [sys.executable, "-m", "runner.cli", "serve", "--home", str(home), "--project", str(project)]
    daemon = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    stack.callback(daemon.terminate)
    return home, daemon.pid


def connect(stack: ExitStack, home: Path) -> Client:
    """A client once everything is READY; TimeoutError when that takes more than a minute, with what it says then."""
    give_up = time.monotonic() + START_S
    told: object = "nothing"
    while time.monotonic() < give_up:
        try:
            client = stack.enter_context(Client.at(home))
        except RunnerUnreachableError:
            time.sleep(0.05)
            continue
        while time.monotonic() < give_up:
            told = client.status()
            if told["health"] == "READY":
                return client
            time.sleep(0.05)
    raise TimeoutError(f"the daemon at {home} was not ready after {START_S:.0f} s; it says {told}")
