"""A step that becomes slow is told, and nobody is ended for it (spec.md §7.24)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.workers.drift import WINDOW
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import inspect


def _slowing(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in status["deployments"] if one["name"] == "slowing")
    return found


@pytest.mark.fault("A16")
def test_a_step_that_takes_many_times_what_it_took_is_a_warning_an_event_and_a_count(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "slowing") as daemon, daemon.client() as client, daemon.host() as watch:
        watch.ask("subscribe", topics=["workers"])
        results = [inspect(client, "Z3") for _ in range(WINDOW)]
        assert _slowing(client.status())["slow_steps"] == []
        results += [inspect(client, "Z3", user_params={"how": "slow"}) for _ in range(WINDOW)]
        told = _slowing(client.status())
        assert (told["slow_steps"], told["drift_warnings"], told["health"]) == ([1], 1, "READY")
        assert "step 1 takes " in watch.hear_event()["data"]["warning"]
        results += [inspect(client, "Z3") for _ in range(WINDOW)]
        told = _slowing(client.status())
        assert (told["slow_steps"], told["drift_warnings"]) == ([], 1)
        assert {(one["status"], one["incarnation"]) for one in results} == {("OK", 1)}
