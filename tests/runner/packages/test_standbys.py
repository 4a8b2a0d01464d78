"""The standby of a version that arrives waits, so that its start takes nothing from the line (spec.md §10.47)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.doubles.packages import PID
from tests.doubles.versions import line, put_versions
from tests.runner.packages.test_while_serving import GOOD, A, B, C, ask, refused, served


def workers(status: dict[str, Any], name: str) -> list[str]:
    """The states of a version's workers."""
    return next(
        ([each["state"] for each in one["workers"]] for one in status["deployments"] if one["name"] == name), []
    )


def has_its_standby(name: str) -> Any:
    return lambda status: workers(status, name) == ["READY", "READY"]


def test_a_version_on_trial_has_no_standby_but_the_version_before(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD[:2], workers__standby=1) as daemon, daemon.client() as client:
        put_versions(daemon.home, GOOD[2], pids=(PID, "p-2"))
        daemon.wait_for(has_its_standby(A))
        ask(client, "activate", pid=PID, package=B)
        # By the time that a product which is on nobody's trial has its standby, this one would have had its own.
        ask(client, "activate", pid="p-2", package=C)
        status = daemon.wait_for(has_its_standby(C))
        assert workers(status, B) == ["READY", "STOPPED"]
        assert [served(client) for _ in range(10)] == ["1.1.0"] * 10
        daemon.wait_for(has_its_standby(B))


def test_a_version_that_is_proven_gets_its_standby_and_so_does_one_that_was_gone_back_to(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD[:2], workers__standby=1) as daemon, daemon.client() as client:
        ask(client, "activate", pid=PID, package=B)
        assert workers(client.status(), B) == ["READY", "STOPPED"]
        assert [served(client) for _ in range(10)] == ["1.1.0"] * 10
        status = daemon.wait_for(has_its_standby(B))
        daemon.wait_for(lambda status: not workers(status, A))
        ask(client, "rollback", pid=PID)
        assert workers(client.status(), A) == ["READY", "STOPPED"]
        daemon.wait_for(has_its_standby(A))
        assert served(client) == "1.0.0" and refused(client, "rollback", pid=PID) == "2006"
        assert status["health"] == "READY"
