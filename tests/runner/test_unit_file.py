"""The systemd unit that is shipped says what the runner does (spec.md §11.23, docs/deploy.md)."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli import EXIT_ENVIRONMENT, EXIT_TAKEN

UNIT = Path(__file__).parents[2] / "docs" / "procvision-runner.service"
GUIDE = UNIT.with_name("deploy.md")


@pytest.fixture
def unit() -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[method-assign,assignment]
    found.read(UNIT, "utf-8")
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("WatchdogSec", "10"),
        ("Restart", "always"),
        ("KillMode", "mixed"),
        ("OOMPolicy", "continue"),
        ("NoNewPrivileges", "yes"),
        ("RestartPreventExitStatus", f"{EXIT_ENVIRONMENT} {EXIT_TAKEN}"),
    ],
)
def test_the_unit_has_the_settings_that_the_guide_explains(
    unit: configparser.ConfigParser, key: str, value: str
) -> None:
    assert unit["Service"][key] == value


def test_it_is_started_again_for_ever_and_stopped_after_the_runner_could(unit: configparser.ConfigParser) -> None:
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert int(unit["Service"]["TimeoutStopSec"]) > 5 + 3 + 3
    assert "serve --home" in unit["Service"]["ExecStart"]


def test_the_guide_names_each_setting_that_needs_a_reason() -> None:
    guide = GUIDE.read_text("utf-8")
    for key in ("Type", "WatchdogSec", "Restart", "StartLimitIntervalSec", "KillMode", "TimeoutStopSec", "Delegate"):
        assert f"`{key}" in guide, key


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text("utf-8").replace("/opt/procvision/venv/bin/procvision-runner", sys.executable)
    (tmp_path / UNIT.name).write_text(text, "utf-8")
    command = ("systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert UNIT.name not in done.stderr, done.stderr
