"""Processes that outlive their worker or their runner are ended; nothing else's is (spec.md §7.9)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.orphans import end_survivors
from runner.slots.segment import boot_id, start_of
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.fault("B17", "B21")
@pytest.mark.parametrize(
    ("boot", "later", "ended"),
    [(None, 0, True), ("00000000", 0, False), (None, 1, False)],
    ids=["the recorded one", "of another boot", "another process with its id"],
)
def test_a_survivor_is_ended_only_when_boot_process_and_start_time_agree(
    tmp_path: Path, boot: str | None, later: int, ended: bool
) -> None:
    with sleeper() as child:
        record = tmp_path / "children"
        told = {"boot": boot or boot_id(), "children": [[child.pid, start_of(child.pid) + later]]}
        record.write_text(json.dumps(told), "utf-8")
        assert end_survivors(record) == ([child.pid] if ended else [])
        assert (child.wait(20) == -9) if ended else (child.poll() is None)
        assert not record.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot": 1}', '{"children": [["a", "b"]]}'])
def test_a_record_that_is_no_record_ends_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "children").write_text(text, "utf-8")
    assert end_survivors(tmp_path / "children") == []
    assert end_survivors(tmp_path / "no such file") == []


@pytest.mark.fault("A19")
@pytest.mark.parametrize("how", ["plain", "setsid", "double_fork"])
def test_a_child_that_outlives_its_worker_is_ended_after_it(tmp_path: Path, how: str) -> None:
    with around_a_fault(tmp_path, "leaving") as daemon, daemon.client() as client:
        result = inspect(client, "L1", user_params={"how": how})
        assert (result["error_code"], result["attempts"]) == ("3005", 2)
        assert "exit code 3" in result["message"]
        left = [int(line) for line in daemon.notes if line.isdigit()]
        assert len(left) == 2
        psutil.wait_procs([psutil.Process(pid) for pid in left if psutil.pid_exists(pid)], timeout=20)
        assert not [pid for pid in left if psutil.pid_exists(pid)]
        recorded = json.loads((daemon.home / "run" / "children").read_text("utf-8"))
        assert recorded["boot"] == boot_id()


@pytest.mark.fault("A20")
@pytest.mark.parametrize("how", ["children", "sessions"])
def test_a_process_that_forks_and_forks_is_ended_with_all_it_made(tmp_path: Path, how: str) -> None:
    with around_a_fault(tmp_path, "multiplying", store__durability="none") as daemon, daemon.client() as client:
        result = inspect(client, "M1", user_params={"how": how}, deadline_ms=2_000.0)
        assert (result["error_code"], result["attempts"]) == ("1005", 1)
        assert "made:200" in daemon.notes
        after = inspect(client, "M1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)


# What a system user of its own may have beside the runner and its two workers.
ROOM = 100


@pytest.mark.fault("A20")
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to become another user")
def test_a_user_of_its_own_has_no_room_for_a_process_that_forks_and_forks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The limit binds no root; the one capability that is kept lets that user reach the tests' own interpreter.
    kept = ["--inh-caps=-all,+dac_override", "--bounding-set=-all,+dac_override", "--ambient-caps=-all,+dac_override"]
    user = [
        "setpriv",
        f"--reuid={61_000 + os.getpid() % 1000}",
        "--clear-groups",
        "--securebits=+no_setuid_fixup",
        *kept,
    ]
    command = Daemon.command
    monkeypatch.setattr(Daemon, "command", lambda daemon: [*user, *command(daemon)])
    limits: dict[str, Any] = {"workers__max_processes": ROOM, "store__durability": "none"}
    with around_a_fault(tmp_path, "multiplying", **limits) as daemon, daemon.client() as client:
        result = inspect(client, "M1", user_params={"how": "children"}, deadline_ms=2_000.0)
        assert (result["error_code"], result["attempts"]) == ("1005", 1)
        (made,) = (int(word.removeprefix("made:")) for word in daemon.notes if word.startswith("made:"))
        assert made < ROOM and "refused" in daemon.notes
        after = inspect(client, "M1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)


def test_a_child_of_a_living_worker_is_left_alone_until_the_station_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "leaving") as daemon, daemon.client() as client:
        daemon.wait_ready()
        assert inspect(client, "L1", user_params={"how": "no"})["status"] == "OK"
        (left,) = (int(line) for line in (tmp_path / "notes").read_text("utf-8").split())
        assert psutil.Process(left).is_running()
    assert not psutil.pid_exists(left)
