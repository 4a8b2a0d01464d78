"""logs, config show and doctor as they are typed, in real processes (spec.md §11.20, §11.21, §11.22)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.daemon import ROOT, inspect, serving

STATION = (sys.executable, "-m", "runner.cli")
AUTHOR = (sys.executable, "-m", "runner.dev.cli")


def typed(command: tuple[str, ...], *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {"PATH": os.environ["PATH"], "COLUMNS": "300", **environment}
    return subprocess.run((*command, *words), cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_logs_of_a_product_and_a_worker_are_shown_while_the_station_runs_and_after(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    with serving(tmp_path, "printing", "steady") as daemon, daemon.client() as client:
        assert inspect(client, "P1")["status"] == "OK"
        by_worker = document(typed(STATION, "logs", "--home", home, "--worker", "printing", "--json"))["records"]
        assert {"printed at import", "printed in a hook"} <= {one["message"] for one in by_worker}
        assert {one["worker"].partition("#")[0] for one in by_worker} == {"printing"}
    assert document(typed(STATION, "logs", "--home", home, "--pid", "absent", "--json")) == {"records": []}
    done = typed(STATION, "logs", "--home", home, "--last", "1")
    (line,) = done.stdout.splitlines()
    assert " info " in line


def test_following_ends_with_ctrl_c_and_prints_a_record_per_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "runner.log").write_text('{"level": "info", "message": "before"}\n', "utf-8")
    command = (*STATION, "logs", "--home", str(tmp_path), "--follow", "--json")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["message"] == "before"
        # Whoever follows has said "before" but may not have opened the file yet: say it until it is heard.
        os.set_blocking(process.stdout.fileno(), False)
        heard = ""
        while '"after"' not in heard:
            with (logs / "runner.log").open("a", encoding="utf-8") as log:
                log.write('{"level": "info", "message": "after"}\n')
            heard += process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "runner.log").write_text('{"message": "m"}\n' * 20_000, "utf-8")
    program = " ".join((*STATION, "logs", "--last", "20000", "--home", str(tmp_path)))
    command = ("bash", "-c", f"{program} | head -n 1; exit ${{PIPESTATUS[0]}}")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_config_show_tells_value_and_source_of_each_setting(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("[slots]\ncount = 5\n", "utf-8")
    words = ("config", "show", "--home", str(tmp_path))
    told = document(typed(STATION, *words, "--json", PROCVISION_LOG__FILES="7"))["settings"]
    assert told["slots.count"] == {"value": 5, "source": str(tmp_path / "station.toml")}
    assert told["log.files"] == {"value": 7, "source": "PROCVISION_LOG__FILES"}
    assert told["workers.memory_mb"] == {"value": 2048, "source": "default"}
    assert "slots.count" in typed(STATION, *words).stdout


def test_a_configuration_that_cannot_be_read_is_exit_3_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("slotz = 1\n", "utf-8")
    done = typed(STATION, "config", "show", "--home", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "slotz" in done.stderr and "Traceback" not in done.stderr


def test_doctor_of_a_station_is_one_document_and_exit_1_when_something_must_be_mended(tmp_path: Path) -> None:
    done = typed(STATION, "doctor", "--home", str(tmp_path), "--json")
    assert done.returncode == 0, done.stdout
    assert {one["name"] for one in document(done)["checks"]} > {"python", "runner", "configuration"}
    (tmp_path / "station.toml").write_text("slotz = 1\n", "utf-8")
    done = typed(STATION, "doctor", "--home", str(tmp_path))
    assert done.returncode == 1
    assert "FAIL" in done.stdout and "slotz" in done.stdout


@pytest.mark.parametrize("words", [("doctor",), ("doctor", "--json")])
def test_doctor_of_an_author_looks_at_the_machine(words: tuple[str, ...]) -> None:
    done = typed(AUTHOR, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "shared memory" in done.stdout and "configuration" not in done.stdout
