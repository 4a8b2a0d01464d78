"""Versions change under a running line: what is new is READY first, what is open stays, what fails goes back
(spec.md §10.40 to §10.46).
"""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client, RefusedError, RunnerUnreachableError
from runner.packages.places import Places
from runner.packages.registry import Registry
from tests.doubles.daemon import IMAGE, Daemon, inspect, serving
from tests.doubles.packages import PID
from tests.doubles.versions import line, put_versions

GOOD = ("1.0.0", ""), ("1.1.0", ""), ("1.2.0", "")
A, B, C = (f"demo@{version}" for version, _ in GOOD)


def ask(client: Client, operation: str, **fields: Any) -> dict[str, Any]:
    return client.ask("packages", operation=operation, **fields)


def served(client: Client, **fields: Any) -> str:
    """The version that answers."""
    answer = inspect(client, PID, **fields)
    assert answer["status"] == "OK", answer
    version: str = answer["deployment"]["version"]
    assert answer["data"]["version"] == version
    return version


def refused(client: Client, operation: str, **fields: Any) -> str:
    with pytest.raises(RefusedError) as told:
        ask(client, operation, **fields)
    assert told.value.hint
    return told.value.code


def active_in(daemon: Daemon) -> tuple[str, tuple[str, ...]]:
    """What the registry says serves the product, and the versions before."""
    (one,) = Registry(Places(daemon.home)).active()
    return str(one), one.previous


def names(status: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["duty"] for one in status["deployments"]}


def deeds(daemon: Daemon) -> list[tuple[str, str, str, str]]:
    rows = Registry(Places(daemon.home)).ledger.deeds()
    return [(one.who, one.operation, one.subject, one.outcome) for one in rows]


def test_a_version_is_activated_and_goes_back_while_the_line_is_served(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD) as daemon, daemon.client() as client:
        assert served(client) == "1.0.0"
        told = ask(client, "activate", pid=PID, package=B)
        assert (told["package"], told["previous"]) == (B, [A])
        assert [served(client) for _ in range(10)] == ["1.1.0"] * 10
        daemon.wait_for(lambda status: names(status) == {B: "serving"})
        ask(client, "activate", pid=PID, package=C)
        assert served(client) == "1.2.0"
        assert ask(client, "rollback", pid=PID)["package"] == B
        assert served(client) == "1.1.0"
        assert ask(client, "rollback", pid=PID)["package"] == A
        assert served(client) == "1.0.0"
        assert refused(client, "rollback", pid=PID) == "2006"
        ask(client, "activate", pid=PID, package=B)
        ask(client, "activate", pid=PID, package=C)
        assert ask(client, "rollback", pid=PID, to=A)["package"] == A
        assert served(client) == "1.0.0"
        assert client.status()["products"] == {PID: A}
        assert active_in(daemon) == (A, ())


def test_an_open_session_stays_on_the_version_that_it_began_with_until_it_ends(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD) as daemon, daemon.client() as client:
        session = client.open_session(PID)
        ask(client, "activate", pid=PID, package=B)
        fresh = client.open_session(PID)
        assert [served(client, session_id=session) for _ in range(2)] == ["1.0.0"] * 2
        assert [served(client) for _ in range(10)] == ["1.1.0"] * 10
        assert served(client, session_id=fresh) == "1.1.0"
        assert client.status()["packages"]["trials"] == []
        assert names(client.status()) == {B: "serving", A: "draining"}
        assert refused(client, "uninstall", package=A) == "2007"
        assert served(client, session_id=session) == "1.0.0"
        client.end_session(session)
        client.end_session(fresh)
        daemon.wait_for(lambda status: names(status) == {B: "serving"})
        assert ask(client, "uninstall", package=A)["outcome"] == "uninstalled"


CANNOT_START = [("fails in setup", "for another camera"), ("ends in setup", "ended before it was ready")]


@pytest.mark.parametrize(("act", "why"), CANNOT_START)
def test_a_version_that_cannot_start_changes_nothing(tmp_path: Path, act: str, why: str) -> None:
    with line(tmp_path, GOOD[0], ("1.1.0", act)) as daemon, daemon.client() as client:
        assert served(client) == "1.0.0"
        with pytest.raises(RefusedError, match=why) as told:
            ask(client, "activate", pid=PID, package=B)
        assert told.value.code == "1014"
        assert served(client) == "1.0.0"
        status = client.status()
        assert names(status) == {A: "serving"}
        assert (status["health"], status["deployments"][0]["workers"][0]["incarnation"]) == ("READY", 1)
        assert active_in(daemon) == (A, ())
        who, operation, subject, outcome = deeds(daemon)[-1]
        assert (operation, subject, outcome[:4]) == ("activate", f"{PID} {B}", "1014") and who.endswith("@local")


def test_a_version_that_ends_in_its_first_calls_is_rolled_back_by_itself_and_nothing_is_lost(tmp_path: Path) -> None:
    bad = ("1.1.0", "ends in its third call")
    with line(tmp_path, GOOD[0], bad) as daemon, daemon.client() as client:
        ask(client, "activate", pid=PID, package=B)
        (trial,) = client.status()["packages"]["trials"]
        assert trial == {"package": B, "answers_left": 10, "back_to": {PID: A}}
        assert [served(client) for _ in range(6)] == ["1.1.0", "1.1.0", "1.0.0", "1.0.0", "1.0.0", "1.0.0"]
        status = daemon.wait_for(lambda status: names(status) == {A: "serving"})
        (told,) = status["packages"]["went_back"]
        assert (told["pid"], told["from"], told["to"]) == (PID, B, A) and "9" in told["why"]
        assert (status["inspections"]["error"], status["health"]) == (0, "READY")
        assert status["deployments"][0]["workers"][0]["incarnation"] == 1
        assert active_in(daemon) == (A, ())
        assert deeds(daemon)[-1][:3] == ("station", "rollback", f"{PID} {A}")
        assert "goes back from demo@1.1.0 to demo@1.0.0" in daemon.log


def test_a_version_that_was_proven_is_not_rolled_back(tmp_path: Path) -> None:
    later = ("1.1.0", "ends in its twelfth call")
    with line(tmp_path, GOOD[0], later) as daemon, daemon.client() as client:
        ask(client, "activate", pid=PID, package=B)
        assert [served(client) for _ in range(14)] == ["1.1.0"] * 14
        assert active_in(daemon) == (B, (A,))


def test_a_first_version_that_ends_in_its_first_calls_stays_and_the_station_is_degraded(tmp_path: Path) -> None:
    bad = ("1.1.0", "ends in its third call")
    with line(tmp_path, GOOD[0], bad) as daemon, daemon.client() as client:
        ask(client, "deactivate", pid=PID)
        assert inspect(client, PID)["error_code"] == "1001"
        ask(client, "activate", pid=PID, package=B)
        assert [served(client) for _ in range(3)] == ["1.1.0"] * 3
        status = daemon.wait_for(lambda status: status["problems"])
        assert (status["health"], list(status["problems"])) == ("DEGRADED", [f"package {B}"])
        assert active_in(daemon) == (B, ())
        ask(client, "deactivate", pid=PID)
        daemon.wait_for(lambda status: not status["problems"] and not status["deployments"])


def test_what_serves_or_drains_is_neither_uninstalled_nor_rebuilt(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD) as daemon, daemon.client() as client:
        ask(client, "activate", pid=PID, package=B)
        for package in (A, B):
            assert refused(client, "uninstall", package=package) == "2007"
            assert refused(client, "verify", package=package, rebuild="yes") == "2007"
        assert ask(client, "uninstall", package=C)["outcome"] == "uninstalled"
        assert ask(client, "verify")["changed"] == 0
        put_versions(daemon.home, ("1.3.0", ""))
        assert ask(client, "activate", pid=PID, package="demo@1.3.0")["previous"] == [B, A]
        assert served(client) == "1.3.0"


REFUSED = [
    ("activate", {"pid": PID, "package": "demo@9.9.9"}, "2006"),
    ("activate", {"pid": "other", "package": B}, "2006"),
    ("activate", {"pid": PID}, "1006"),
    ("activate", {"pid": PID, "package": B, "to": A}, "1006"),
    ("rollback", {"pid": PID}, "2006"),
    ("rollback", {"pid": PID, "to": C}, "2006"),
    ("deactivate", {"pid": "other"}, "2006"),
    ("uninstall", {"package": "demo@9.9.9"}, "2006"),
    ("verify", {"rebuild": "yes"}, "1006"),
    ("install", {"path": "/dev/null"}, "2001"),
    ("remove", {"package": A}, "4002"),
]


def test_what_is_refused_is_refused_with_its_code_and_the_line_goes_on(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD) as daemon, daemon.client() as client:
        found = [(operation, fields, refused(client, operation, **fields)) for operation, fields, _ in REFUSED]
        assert found == REFUSED
        assert served(client) == "1.0.0"
        assert active_in(daemon) == (A, ())


def test_a_link_without_the_role_admin_may_not(tmp_path: Path) -> None:
    with line(tmp_path, GOOD[0]) as daemon, daemon.host(roles=["inspect", "operate"]) as host:
        assert host.welcome["roles"] == ["inspect", "operate"]
        for kind, fields in (("packages", {"operation": "list"}), ("reload", {})):
            answer = host.ask(kind, **fields)
            assert (answer["status"], answer["error_code"]) == ("ERROR", "4005"), answer
            assert "admin" in answer["message"]


class EndedBeforeItSwitched(Daemon):
    """A runner that is killed right after the transaction of an activation."""

    def command(self) -> list[str]:
        killed = "import os, runner.station; runner.station.Station.use = lambda *_: os.kill(os.getpid(), 9); "
        serve = super().command()[3:]
        return [sys.executable, "-c", f"{killed}from runner.cli import main; main()", *serve]


def test_a_runner_killed_between_the_transaction_and_the_switch_serves_the_new_version_next_time(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    put_versions(home, *GOOD)
    Registry(Places(home)).activate(PID, A, "t")
    daemon = EndedBeforeItSwitched(home, (), {})
    try:
        with daemon.client() as client, pytest.raises(RunnerUnreachableError):
            ask(client, "activate", pid=PID, package=B)
        assert daemon.exit_code() == -signal.SIGKILL
    finally:
        daemon.kill()
    with serving(tmp_path) as again, again.client() as client:
        assert served(client) == "1.1.0"
        assert active_in(again) == (B, (A,))


def test_requests_under_way_while_versions_change_all_get_their_answer(tmp_path: Path) -> None:
    with line(tmp_path, *GOOD) as daemon, daemon.client() as operator:
        answers: list[dict[str, Any]] = []
        stop = threading.Event()

        def inspect_on() -> None:
            with daemon.client() as host:
                lease = host.lease()
                while not stop.is_set():
                    answers.append(host.inspect(PID, lease, lease.put(IMAGE)))

        hosts = [threading.Thread(target=inspect_on) for _ in range(2)]
        for host in hosts:
            host.start()
        try:
            for package in (B, C):
                ask(operator, "activate", pid=PID, package=package)
            for _ in range(2):
                ask(operator, "rollback", pid=PID)
        finally:
            stop.set()
            for host in hosts:
                host.join()
        versions = [one["deployment"]["version"] for one in answers]
        assert {one["status"] for one in answers} == {"OK"}
        assert {"1.0.0", "1.1.0", "1.2.0"} <= set(versions)


def test_a_file_that_is_changed_while_its_version_serves_is_a_problem_of_the_station(tmp_path: Path) -> None:
    with line(tmp_path, GOOD[0], packages__scan_s=0.05) as daemon, daemon.client() as client:
        registry = Registry(Places(daemon.home))
        source = registry.folder(registry.find(A)) / "demo" / "main.py"
        source.chmod(0o644)
        source.write_text("x = 1")
        status = daemon.wait_for(lambda status: "files" in status["problems"])
        assert status["problems"]["files"].startswith(f"{A}: demo/main.py was changed")
        assert (status["health"], served(client)) == ("DEGRADED", "1.0.0")
        put_versions(daemon.home, GOOD[1])
        ask(client, "activate", pid=PID, package=B)
        assert refused(client, "rollback", pid=PID) == "2009"
        daemon.wait_for(lambda status: not status["problems"])
