"""`reload` reads the configuration anew and boots what gave up; a wrong one changes nothing (spec.md §11.24)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import RefusedError
from tests.doubles.daemon import PROJECTS, Daemon, inspect, serving, submit, worker_in
from tests.doubles.raw_host import LIMIT_S


def reload_command(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner.cli", "reload", "--home", str(daemon.home), *words]
    return subprocess.run(command, env=daemon.environment(), capture_output=True, text=True, timeout=LIMIT_S)


def authors_copy(folder: Path, project: str) -> Path:
    """A project that its author goes on working at."""
    return shutil.copytree(PROJECTS / project, folder / project)


def mend(project: Path) -> None:
    """The author takes the fault out of `broken_setup`."""
    source = project / "broken_setup.py"
    mended = source.read_text("utf-8").replace('raise ValueError("the model is for another camera")', "return")
    source.write_text(mended, "utf-8")


def is_fatal(name: str) -> Any:
    return lambda status: worker_in(status, name)["state"] == "FATAL"


def test_a_package_that_could_not_boot_serves_after_its_author_mended_it_and_reload_was_asked(tmp_path: Path) -> None:
    project = authors_copy(tmp_path, "broken_setup")
    with serving(tmp_path, "steady", str(project)) as daemon, daemon.client() as client:
        daemon.wait_for(is_fatal("broken_setup"))
        assert inspect(client, "B1")["error_code"] == "1014"
        assert client.ask("reload")["restarted"] == ["broken_setup"]
        daemon.wait_for(is_fatal("broken_setup"))
        mend(project)
        ended = reload_command(daemon, "B1", "--json")
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout) == {"applied": [], "needs_restart": [], "restarted": ["broken_setup"]}
        status = daemon.wait_ready()
        assert status["deployments"][1]["reason"] == ""
        assert inspect(client, "B1")["status"] == "OK"
        assert client.ask("reload")["restarted"] == []
        assert (inspect(client, "S1")["incarnation"], inspect(client, "B1")["incarnation"]) == (1, 3)


def test_reload_of_one_product_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    with serving(tmp_path, "broken_setup", "steady") as daemon, daemon.client() as client:
        daemon.wait_for(is_fatal("broken_setup"))
        assert client.ask("reload", pid="S1")["restarted"] == []
        assert daemon.worker("broken_setup")["state"] == "FATAL"
        assert daemon.notes.count("tried") == 1
        with pytest.raises(RefusedError, match="S9") as refused:
            client.ask("reload", pid="S9")
        assert refused.value.code == "1001"


def test_reload_ends_a_back_off_and_forgets_the_failures(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing", workers__restarts=0) as daemon, daemon.client() as client:
        daemon.wait_ready()
        assert inspect(client, "C1", user_params={"how": "exit"}, deadline_ms=300.0)["status"] == "ERROR"
        daemon.wait_for(lambda status: worker_in(status, "crashing")["state"] == "BACKOFF")
        waiting, _ = submit(client, "C1")
        assert client.ask("reload")["restarted"] == ["crashing"]
        assert client.result(waiting)["status"] == "OK"
        (told,) = client.status()["deployments"]
        assert (told["restarts_too_often"], told["health"]) == (False, "READY")


def test_what_can_change_without_a_restart_does_and_the_rest_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, "slow_setup", "hanging", timeouts__execute_s=60.0) as daemon, daemon.client() as client:
        daemon.gate("setup-gate").let_through()
        daemon.wait_ready()
        daemon.configure(
            timeouts__pre_execute_s=0.2,
            timeouts__execute_s=0.2,
            slots__count=9,
            log__level="error",
            environment__PROC_NEW="1",
            workers__restarts=2,
        )
        told = client.ask("reload")
        live = ["environment.PROC_NEW", "log.level", "timeouts.execute_s", "timeouts.pre_execute_s", "workers.restarts"]
        assert sorted(told["applied"]) == live
        assert (told["needs_restart"], told["restarted"]) == (["slots.count"], [])
        assert inspect(client, "H1", user_params={"how": "spin"})["error_code"] == "1005"
        assert client.status()["slots"]["count"] == daemon.slots
        daemon.wait_ready()
        worker = daemon.worker("hanging")["os_pid"]
        assert b"PROC_NEW=1" in Path(f"/proc/{worker}/environ").read_bytes()
        again = client.ask("reload")
        assert (again["applied"], again["needs_restart"]) == ([], ["slots.count"])


def test_a_call_that_runs_keeps_the_limits_it_began_with(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        running, _ = submit(client, "S1", step_index=1, user_params={"gate": "reloading"})
        with daemon.gate("reloading"):
            daemon.configure(timeouts__pre_execute_s=0.001, timeouts__execute_s=0.001)
            assert client.ask("reload")["applied"] == ["timeouts.pre_execute_s", "timeouts.execute_s"]
        assert client.result(running)["status"] == "OK"


def test_a_wrong_configuration_is_refused_with_its_message_and_changes_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "broken_setup") as daemon, daemon.client() as client:
        daemon.wait_for(is_fatal("broken_setup"))
        (daemon.home / "station.toml").write_text('log.level = "debug"\nslots.cuont = 4\n', "utf-8")
        ended = reload_command(daemon)
        assert ended.returncode == 3 and ended.stdout == ""
        assert "there is no setting 'slots.cuont'; did you mean 'count'?" in " ".join(ended.stderr.split())
        (daemon.home / "station.toml").unlink()
        with pytest.raises(RefusedError, match="it is gone") as refused:
            client.ask("reload")
        assert refused.value.code == "4002"
        assert (daemon.worker("broken_setup")["state"], daemon.notes) == ("FATAL", ["tried"])
        daemon.configure()
        assert client.ask("reload") == {"applied": [], "needs_restart": [], "restarted": ["broken_setup"]}
        daemon.wait_for(is_fatal("broken_setup"))


def test_reload_without_a_runner_says_that_there_is_none(tmp_path: Path) -> None:
    with serving(tmp_path) as daemon:
        assert daemon.stop() == 0
        ended = reload_command(daemon)
        assert ended.returncode == 7 and "procvision-runner serve" in ended.stderr
