"""A log that cannot be written, read or encoded never costs an inspection (spec.md §12.6; faults B19, B20, B27)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.doubles.daemon import Daemon, inspect, serving


@pytest.mark.fault("B19")
@pytest.mark.parametrize(
    "how", ["deleted", "moved away", "copied and truncated", "folder deleted", "folder replaced by a file"]
)
def test_a_log_that_is_taken_away_costs_no_inspection_and_is_made_anew(tmp_path: Path, how: str) -> None:
    with serving(tmp_path, "printing") as daemon, daemon.client() as client:
        path = daemon.home / "logs" / "runner.log"
        assert inspect(client, "P1")["status"] == "OK"
        match how:
            case "deleted":
                path.unlink()
            case "moved away":
                path.rename(tmp_path / "rotated.log")
            case "copied and truncated":
                shutil.copy(path, tmp_path / "rotated.log")
                os.truncate(path, 0)
            case _:
                shutil.rmtree(path.parent)
        if how == "folder replaced by a file":
            path.parent.write_text("in the way", "utf-8")
            assert inspect(client, "P1")["status"] == "OK"
            assert client.status()["log"]["lost_records"] > 0
            path.parent.unlink()
        assert inspect(client, "P1", user_params={"how": "echo"})["status"] == "OK"
        assert "echoed by a shell" in path.read_text("utf-8")


@pytest.mark.fault("B20")
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_a_runner_without_a_usable_stderr_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redirection: str
) -> None:
    command = Daemon.command
    shell = ["bash", "-c", f'exec "$@" {redirection}', "bash"]
    monkeypatch.setattr(Daemon, "command", lambda daemon: [*shell, *command(daemon)])
    with serving(tmp_path, "printing") as daemon, daemon.client() as client:
        for how in ("print", "write", "child"):
            assert inspect(client, "P1", user_params={"how": how})["status"] == "OK"
        assert "printed by a child" in (daemon.home / "logs" / "runner.log").read_text("utf-8")


@pytest.mark.fault("B20")
def test_nobody_reading_stderr_blocks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 65_536)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    start = subprocess.Popen

    def with_a_full_pipe(*command: object, **options: object) -> object:
        return start(*command, **{**options, "stderr": writing})  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "Popen", with_a_full_pipe)
    try:
        with serving(tmp_path, "printing") as daemon, daemon.client() as client:
            assert inspect(client, "P1", user_params={"how": "flood"})["status"] == "OK"
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize(
    "surroundings",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "POSIX", "TZ": "Asia/Kathmandu", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "de_DE.ISO-8859-1", "TZ": "nonsense"},
    ],
    ids=["C", "POSIX", "missing"],
)
def test_text_is_utf8_whatever_locale_and_time_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, surroundings: dict[str, str]
) -> None:
    inherited = Daemon.environment
    monkeypatch.setattr(Daemon, "environment", lambda daemon: {**inherited(daemon), **surroundings})
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        result = inspect(client, "S1", context={"operator": "Jürgen 検査"}, user_params={"verdict": "RAISE"})
        assert result["error_code"] == "1009"
        result = inspect(client, "S1", context={"operator": "Jürgen 検査"})
        assert result["data"]["context"]["operator"] == "Jürgen 検査"
        lines = (daemon.home / "logs" / "runner.log").read_text("ascii").splitlines()
    assert all(json.loads(line) for line in lines)
