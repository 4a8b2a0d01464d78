"""The commands on packages through a runner that serves, and without one (spec.md §10.5)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.doubles.daemon import Daemon
from tests.doubles.packages import PID
from tests.doubles.raw_host import LIMIT_S
from tests.doubles.versions import line

GOOD = ("1.0.0", ""), ("1.1.0", ""), ("1.2.0", "")
A, B, C = (f"demo@{version}" for version, _ in GOOD)


def command(daemon: Daemon, *words: str) -> tuple[int, Any, str]:
    """`procvision-runner` with --json: exit code, answer, what it said besides."""
    line_ = [sys.executable, "-m", "runner.cli", *words, "--json", "--home", str(daemon.home)]
    done = subprocess.run(line_, env=daemon.environment(), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def without_times(told: Any) -> Any:
    """The same without when it was."""
    if isinstance(told, dict):
        return {key: without_times(value) for key, value in told.items() if key not in ("at_ms", "hash", "state")}
    return [without_times(value) for value in told] if isinstance(told, list) else told


WORDS = [
    ("activate", PID, B),
    ("activate", PID, "demo@9.9.9"),
    ("rollback", PID),
    ("activate", PID, B),
    ("activate", PID, C),
    ("rollback", PID, "--to", A),
    ("uninstall", A),
    ("uninstall", C),
    ("verify",),
    ("list",),
    ("trust", "list"),
    ("deactivate", PID),
    ("deactivate", PID),
    ("history",),
]


def test_commands_say_the_same_whether_the_runner_serves_or_not(tmp_path: Path) -> None:
    answers: list[list[Any]] = []
    for place in ("up", "down"):
        (tmp_path / place).mkdir()
        with line(tmp_path / place, *GOOD) as daemon:
            if place == "down":
                assert daemon.stop() == 0
            told = []
            for words in WORDS:
                code, answer, said = command(daemon, *words)
                told.append((words, code, without_times(answer), said.replace(place, "")))
                if words[:2] == ("rollback", PID) and place == "up":
                    daemon.wait_for(lambda status: [one["name"] for one in status["deployments"]] == [A])
            answers.append(told)
    assert answers[0] == answers[1]
    assert [code for _, code, *_ in answers[0]] == [0, 4, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4, 0]
