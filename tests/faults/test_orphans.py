"""Processes that outlive their worker or their runner are ended; nothing else's is (spec.md §7.9)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runner.orphans import end_survivors
from runner.slots.segment import boot_id, start_of
from tests.doubles.daemon import inspect, serving


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


def test_a_child_that_left_its_workers_group_is_ended_after_the_worker(tmp_path: Path) -> None:
    with serving(tmp_path, "leaving") as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "L1", user_params={"how": "exit"})
        assert result["error_code"] == "3005"
        left = [int(line) for line in (tmp_path / "notes").read_text("utf-8").split()]
        assert len(left) == 2
        psutil.wait_procs([psutil.Process(pid) for pid in left if psutil.pid_exists(pid)], timeout=20)
        assert not [pid for pid in left if psutil.pid_exists(pid)]
        recorded = json.loads((daemon.home / "run" / "children").read_text("utf-8"))
        assert recorded["boot"] == boot_id()


def test_a_child_of_a_living_worker_is_left_alone_until_the_station_stops(tmp_path: Path) -> None:
    with serving(tmp_path, "leaving") as daemon, daemon.client() as client:
        daemon.wait_ready()
        assert inspect(client, "L1", user_params={"how": "no"})["status"] == "OK"
        (left,) = (int(line) for line in (tmp_path / "notes").read_text("utf-8").split())
        assert psutil.Process(left).is_running()
    assert not psutil.pid_exists(left)
