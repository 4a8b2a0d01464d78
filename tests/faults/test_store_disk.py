"""A disk that really fills up under a runner: what gives way, in which order, and the way back (spec.md §11.16)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client
from runner.results import writer as module
from runner.results.room import Room
from tests.doubles.daemon import Daemon, inspect, serving, submit
from tests.doubles.result_rows import accepted, answered, plan_of, writing, written
from tests.doubles.small_disk import small_disk

BALLAST_MIB = 2


def until(client: Client, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The first state of the store for which this holds: the runner looks at its disk each second."""
    while True:
        store: dict[str, Any] = client.status()["store"]
        if condition(store):
            return store


def poisoned(daemon: Daemon, client: Client) -> int:
    """Let one input end two workers; how many inputs are kept then."""
    assert inspect(client, "C1", user_params={"how": "exit"})["error_code"] == "3005"
    poison = daemon.home / "store" / "poison"
    # It is written after the answer: its slot comes back when that is over.
    while client.status()["slots"]["free"] < int(str(daemon.slots)):
        pass
    return len(list(poison.iterdir())) if poison.exists() else 0


@pytest.mark.fault("B6")
def test_on_a_disk_that_fills_up_images_stop_then_go_then_the_ballast_then_inspections_and_all_comes_back(
    tmp_path: Path,
) -> None:
    with (
        small_disk(tmp_path / "home" / "store") as disk,
        serving(tmp_path, "steady", "crashing", store__ballast_mb=BALLAST_MIB) as daemon,
    ):
        daemon.wait_ready()
        with daemon.client("line") as client:
            until(client, lambda store: store["disk"]["ballast_bytes"] == BALLAST_MIB * 1024 * 1024)
            assert poisoned(daemon, client) == 1
            disk.fill(leave_percent=4)
            until(client, lambda store: store["disk"]["level"] == "low")
            assert poisoned(daemon, client) == 1
            assert "the disk is low" in daemon.log
            assert inspect(client, "S1", step_index=1)["recorded"] == "power"
            disk.fill(leave_percent=1.5)
            until(client, lambda store: store["disk"]["poison_removed"])
            assert list((daemon.home / "store" / "poison").iterdir()) == []
            assert inspect(client, "S1", step_index=1)["recorded"] == "power"
            disk.fill(leave_percent=0)
            released = until(client, lambda store: store["disk"]["ballast_bytes"] == 0)
            assert released["disk"]["free_bytes"] > 0
            assert inspect(client, "S1", step_index=1)["recorded"] == "power"
            disk.fill(leave_percent=0)
            until(client, lambda store: store["disk"]["level"] == "full")
            refused = inspect(client, "S1", step_index=1)
            assert (refused["status"], refused["error_code"]) == ("ERROR", "3007")
            disk.empty()
            until(client, lambda store: store["disk"]["ballast_bytes"] and store["disk"]["level"] == "good")
            assert client.status()["store"]["state"] == "good"
            assert inspect(client, "S1", step_index=1)["recorded"] == "power"
            assert poisoned(daemon, client) == 1


@pytest.mark.fault("B6")
def test_a_verdict_that_meets_a_full_disk_is_recorded_or_withheld_and_never_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path / "home" / "store") as disk, serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        told: dict[str, dict[str, Any]] = {}
        with daemon.client("line") as client:
            name, _ = submit(client, "S1", step_index=1, user_params={"gate": "held"})
            with daemon.gate("held"):
                disk.fill(leave_percent=0)
            told[name] = client.result(name)
            # Some go into the log that is there already, until the look at the disk refuses them.
            while (last := inspect(client, "S1", step_index=1))["error_code"] not in ("3007", "3008"):
                told[last["request_id"]] = last
            disk.empty()
            until(client, lambda store: store["state"] == "good" and store["disk"]["level"] == "good")
            after = inspect(client, "S1", step_index=1)
            told[after["request_id"]] = after
            assert after["recorded"] == "power"
        daemon.kill()
        daemon.start()
        daemon.wait_ready()
        with daemon.client("line") as client:
            for name, answer in told.items():
                if answer["status"] == "OK":
                    assert answer["recorded"] == "power"
                    assert client.ask("query", target_request_id=name) == answer
                else:
                    assert answer["error_code"] == "3008"


@pytest.mark.fault("B6")
def test_a_write_that_finds_no_room_gets_that_of_the_ballast_and_nobody_is_told_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No look at the disk comes to its help.
    monkeypatch.setattr(module, "_TICK_S", 3600.0)
    path = tmp_path / "store" / "results.sqlite"
    with small_disk(path.parent) as disk:
        plan = replace(plan_of(path, "power"), room=Room(path.parent, 0, BALLAST_MIB * 1024 * 1024))
        with writing(plan) as (writer, outcomes):
            plan.room.mend()
            disk.fill(leave_percent=0)
            number = 0
            while plan.room.ballast_bytes():
                number += 1
                writer.put(answered(accepted(number)), outcomes.of(f"r{number}"))
                outcomes.wait(number)
            assert all(kept for _, kept in outcomes.told) and writer.condition.failures == 1
        assert len(written(path)) == number
