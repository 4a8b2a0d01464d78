"""Another process holds the store: waited for, then said, then over without a restart (spec.md §5.13, §7.10)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.results import writer as module
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import inspect, submit
from tests.doubles.result_rows import accepted, answered, plan_of, writing, written

HOLD = "import sqlite3, sys; file = sqlite3.connect(sys.argv[1], isolation_level=None); file.execute('BEGIN IMMEDIATE')"
HOLD += "; print('held', flush=True); sys.stdin.read()"


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """A process that writes to the store and does not come to an end while the block lasts."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield


@pytest.mark.fault("B12")
def test_a_held_store_is_waited_for_then_answered_3008_and_serves_again_when_it_is_free(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, store__locked_s=0.4) as daemon, daemon.client("line") as client:
        with held_by_another(daemon.home / "store" / "results.sqlite"):
            waited = inspect(client, "S1", step_index=1)
            assert (waited["status"], waited["error_code"], waited["data"]) == ("ERROR", "3008", {})
            assert waited["deployment"]
            while client.status()["store"]["state"] == "good":
                pass
            refused = inspect(client, "S1", step_index=1)
            assert refused["error_code"] == "3008" and not refused.get("deployment")
            assert "locked" in client.status()["store"]["reason"]
        while client.status()["store"]["state"] != "good":
            pass
        assert inspect(client, "S1", step_index=1)["recorded"] == "power"
        assert client.ask("query", target_request_id=waited["request_id"]) == waited


@pytest.mark.fault("B12")
def test_a_store_that_is_held_for_less_than_its_limit_delays_an_answer_and_loses_nothing(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, store__locked_s=30.0) as daemon, daemon.client("line") as client:
        with held_by_another(daemon.home / "store" / "results.sqlite"):
            name, _ = submit(client, "S1", step_index=1)
            while client.status()["inspections"]["in_flight"] == 0:
                pass
        assert client.result(name)["recorded"] == "power"
        assert client.status()["store"]["failures"] == 0


@pytest.mark.fault("B12")
def test_what_waits_for_a_held_store_is_bounded_and_the_newest_of_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BACKLOG", 3)
    monkeypatch.setattr(module, "_TICK_S", 0.02)
    path = tmp_path / "store" / "results.sqlite"
    with writing(plan_of(path)) as (writer, outcomes):
        with held_by_another(path):
            writer.put(answered(accepted(0)), outcomes.of("r0"))
            assert outcomes.wait(1) == [("r0", False)]
            for number in range(1, 10):
                writer.put(answered(accepted(number)))
            writer.put(answered(accepted(10)), outcomes.of("r10"))
            outcomes.wait(2)
        while writer.condition.state != "good":
            writer.put(answered(accepted(10)), outcomes.of("r10"))
            outcomes.wait(len(outcomes.told) + 1)
    assert {"r7", "r8", "r9"} == {row.request_id for row in written(path)} - {"r10"}
