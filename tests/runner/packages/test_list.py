"""What `list` shows of installed versions while the station serves, and while it does not (spec.md §10.4)."""

from __future__ import annotations

from pathlib import Path

from runner.config import StationConfig
from runner.home import Home
from runner.host.client import Client
from runner.package_desk import PackageDesk
from runner.packages.places import Places
from runner.packages.registry import Registry
from tests.doubles.daemon import inspect, submit
from tests.doubles.packages import PID
from tests.doubles.versions import line
from tests.runner.packages.test_while_serving import GOOD, A, B, C, ask, names, refused, served


def states(client: Client) -> dict[str, tuple[str, str]]:
    """State and reason of each installed version, as `list` shows them."""
    return {one["package"]: (one["state"], one["reason"]) for one in ask(client, "list")["packages"]}


def test_list_shows_what_runs_what_is_executing_what_drains_and_what_was_only_installed(tmp_path: Path) -> None:
    waits = ("1.0.0", "waits at the gate")
    with line(tmp_path, waits, *GOOD[1:]) as daemon, daemon.client() as client, daemon.client() as other:
        gate = daemon.gate("gate")
        assert states(client) == {A: ("running", ""), B: ("deployed", ""), C: ("deployed", "")}
        request, _ = submit(client, PID)
        with gate:
            assert states(other)[A] == ("executing", "")
        assert client.result(request)["status"] == "OK"
        assert states(other)[A] == ("running", "")
        session = client.open_session(PID)
        ask(other, "activate", pid=PID, package=B)
        assert states(other) == {A: ("running", "warm"), B: ("running", ""), C: ("deployed", "")}
        assert [served(other) for _ in range(10)] == ["1.1.0"] * 10
        assert states(other)[A] == ("running", "draining")
        client.end_session(session)
        daemon.wait_for(lambda status: names(status) == {B: "serving"})
        assert states(other) == {A: ("deployed", ""), B: ("running", ""), C: ("deployed", "")}
        assert daemon.stop() == 0
        told = PackageDesk(Home(daemon.home), StationConfig(), "t").perform("list", {})["packages"]
        assert [one["state"] for one in told] == ["deployed", "stopped", "deployed"]


def test_a_version_that_was_changed_while_the_station_stood_is_invalid_until_it_is_made_anew_and_activated(
    tmp_path: Path,
) -> None:
    with line(tmp_path, *GOOD[:2]) as daemon:
        assert daemon.stop() == 0
        registry = Registry(Places(daemon.home))
        source = registry.folder(registry.find(A)) / "demo" / "main.py"
        whole = source.read_bytes()
        source.chmod(0o644)
        source.write_bytes(whole + b"\n")
        daemon.start()
        with daemon.client() as client:
            status = client.status()
            assert (status["health"], status["products"]) == ("DEGRADED", {})
            assert "demo/main.py was changed" in status["problems"][f"product {PID}"]
            state, reason = states(client)[A]
            assert state == "invalid" and f"verify {A} --rebuild" in reason
            assert inspect(client, PID)["error_code"] == "1001"
            assert refused(client, "activate", pid=PID, package=A) == "2009"
            source.write_bytes(whole)
            ask(client, "activate", pid=PID, package=A)
            assert (served(client), client.status()["problems"], states(client)[A]) == ("1.0.0", {}, ("running", ""))
