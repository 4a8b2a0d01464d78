"""A warm standby takes over when the serving worker hangs or ends; too many restarts are seen (spec.md §7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doubles.daemon import inspect, serving

DEADLINE_MS = 600.0
# Where others keep the processor busy a stack takes its time: of this margin it may take 240 ms.
PATIENT: dict[str, Any] = {"answer_margin_ms": DEADLINE_MS}
# Nothing waits for a disk that others keep busy.
UNRECORDED: dict[str, Any] = {"store__durability": "none"}


def states(status: dict[str, Any], name: str) -> list[str]:
    return sorted(one["state"] for each in status["deployments"] if each["name"] == name for one in each["workers"])


def both_ready(name: str) -> Any:
    return lambda status: states(status, name) == ["READY", "READY"]


@pytest.mark.parametrize("how", ["spin", "native", "deadlock"])
def test_a_hang_is_answered_with_its_stack_and_the_standby_takes_the_next_part(tmp_path: Path, how: str) -> None:
    with serving(tmp_path, "hanging", workers__standby=1, **UNRECORDED, **PATIENT) as daemon, daemon.client() as client:
        daemon.wait_for(both_ready("hanging"))
        hung = inspect(client, "H1", user_params={"how": how}, deadline_ms=2 * DEADLINE_MS)
        assert (hung["error_code"], hung["incarnation"]) == ("1005", 1)
        assert " in act" in hung["diagnostics"]["stack"] and "hanging.py" in hung["diagnostics"]["stack"]
        after = inspect(client, "H1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        daemon.wait_for(both_ready("hanging"))


def test_a_crash_is_repeated_on_the_standby(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing", workers__standby=1) as daemon, daemon.client() as client:
        daemon.wait_for(both_ready("crashing"))
        result = inspect(client, "C1", user_params={"how": "exit_once"})
        assert (result["status"], result["attempts"], result["incarnation"]) == ("OK", 2, 2)


def test_only_one_of_both_serves_at_a_time(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", workers__standby=1) as daemon, daemon.client() as client:
        daemon.wait_for(both_ready("hanging"))
        assert {inspect(client, "H1")["incarnation"] for _ in range(5)} == {1}
        assert states(client.status(), "hanging") == ["READY", "READY"]


def test_restarts_beyond_the_budget_are_seen_and_the_product_is_still_served(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", workers__restarts=1, **UNRECORDED) as daemon, daemon.client() as client:
        for incarnation in (1, 2):
            daemon.wait_ready()
            hung = inspect(client, "H1", user_params={"how": "spin"}, deadline_ms=DEADLINE_MS)
            assert (hung["error_code"], hung["incarnation"]) == ("1005", incarnation)
        (deployment,) = daemon.wait_for(lambda status: states(status, "hanging") == ["BACKOFF"])["deployments"]
        assert (deployment["health"], deployment["restarts_too_often"]) == ("DEGRADED", True)
        assert inspect(client, "H1")["error_code"] == "3002"
        daemon.wait_ready()
        served = inspect(client, "H1")
        assert (served["status"], served["incarnation"]) == ("OK", 3)
        status = client.status()
        assert (status["health"], status["deployments"][0]["health"]) == ("READY", "DEGRADED")
