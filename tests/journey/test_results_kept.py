"""Results outlive the runner: killed and started again it gives the answers it gave (spec.md §4.34, §4.36, §11.14)."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client, RefusedError
from tests.doubles.daemon import IMAGE, ROOT, Daemon, inspect, serving, submit


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with serving(tmp_path, "steady") as running:
        running.wait_ready()
        yield running


def restart(daemon: Daemon) -> None:
    daemon.kill()
    daemon.start()
    daemon.wait_ready()


def ask_again(client: Client, asked: dict[str, Any]) -> dict[str, Any]:
    """The identical request, in the words of a host that does not know what became of it."""
    client._send(asked)
    return client.result(asked["request_id"])


def request(client: Client, request_id: str, **fields: Any) -> dict[str, Any]:
    """An inspect message for a fresh slot with IMAGE in it."""
    lease = client.lease()
    where = {"shared_mem_id": lease.shared_mem_id, "image_meta": lease.put(IMAGE)}
    return {"type": "inspect", "request_id": request_id, "pid": "S1", "step_index": 1, **where, **fields}


def results(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runner.cli", "results", "--home", str(home), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_killed_runner_gives_the_same_answers_again_and_refuses_their_ids_for_other_requests(daemon: Daemon) -> None:
    with daemon.client("line") as client:
        asked = [request(client, f"r{n}", user_params={"verdict": v}) for n, v in enumerate(("OK", "NG", "ERROR"))]
        told = [ask_again(client, one) for one in asked]
    assert [one["recorded"] for one in told] == ["power"] * 3
    assert [one["status"] for one in told] == ["OK", "OK", "ERROR"]
    restart(daemon)
    with daemon.client("line") as client:
        assert [ask_again(client, one) for one in asked] == told
        assert [client.ask("query", target_request_id=one["request_id"]) for one in asked] == told
        assert ask_again(client, request(client, "r1"))["error_code"] == "4004"
        with daemon.client("other") as stranger, pytest.raises(RefusedError, match="no answer is stored"):
            stranger.ask("query", target_request_id="r1")
        assert client.status()["inspections"]["submitted"] == 0


def test_an_inspection_that_was_open_when_the_runner_was_killed_is_answered_runner_restart(daemon: Daemon) -> None:
    gate = daemon.gate("open")
    with daemon.client("line") as client:
        asked = request(client, "open", user_params={"gate": "open"})
        client._send(asked)
        with gate, closing(sqlite3.connect(daemon.home / "store" / "results.sqlite")) as file:
            while not file.execute("SELECT count(*) FROM results WHERE request_id = 'open'").fetchone()[0]:
                daemon.status()
            daemon.kill()
    daemon.start()
    daemon.wait_ready()
    with daemon.client("line") as client:
        answer = ask_again(client, asked)
        assert (answer["status"], answer["error_code"], answer["recorded"]) == ("ERROR", "3004", "power")
        assert client.ask("query", target_request_id="open") == answer
        assert client.status()["store"]["restarted"] == 1
        (listed,) = client.ask("query", last=1)["rows"]
    assert (listed["request_id"], listed["status"], listed["error_code"]) == ("open", "ERROR", "3004")


def test_results_are_read_back_through_the_runner_and_without_one(daemon: Daemon) -> None:
    with daemon.client("line") as client:
        for number, (pid, verdict) in enumerate((("S1", "OK"), ("S2", "NG"), ("S1", "ERROR"))):
            inspect(client, pid, request_id=f"r{number}", step_index=1, user_params={"verdict": verdict})
        over_the_link = client.ask("query", pid="S1")["rows"]
    assert [(row["request_id"], row["verdict"], row["error_code"]) for row in over_the_link] == [
        ("r2", "", "1003"),
        ("r0", "OK", ""),
    ]
    served = results(daemon.home, "--json", "--pid", "S1", "--since", "1h")
    assert json.loads(served.stdout) == {"rows": over_the_link}
    assert [row["request_id"] for row in json.loads(results(daemon.home, "--json", "--last", "1").stdout)["rows"]] == [
        "r2"
    ]
    assert daemon.stop() == 0
    alone = results(daemon.home, "--json", "--pid", "S1", "--since", "1h")
    assert (alone.returncode, alone.stdout) == (0, served.stdout)
    told = results(daemon.home)
    assert told.returncode == 0 and "1003" in told.stdout and "NG" in told.stdout
    wrong = results(daemon.home, "--since", "yesterday")
    assert wrong.returncode == 2 and "30m, 2h, 7d" in wrong.stderr


def test_an_answer_whose_host_is_gone_is_recorded_all_the_same(daemon: Daemon) -> None:
    gate = daemon.gate("lost")
    with daemon.client("line") as client:
        submit(client, "S1", request_id="lost", step_index=1, user_params={"gate": "lost"})
        with gate:
            client.close()
            daemon.status()
    daemon.wait_for(lambda status: status["inspections"]["in_flight"] == 0)
    restart(daemon)
    with daemon.client("line") as back:
        assert back.ask("query", target_request_id="lost")["data"]["result_status"] == "OK"


def test_a_refused_request_leaves_no_row(daemon: Daemon) -> None:
    with daemon.client("line") as client:
        assert inspect(client, "S1", step_index=9)["error_code"] == "1006"
        assert client.ask("query")["rows"] == []


def test_a_station_that_records_nothing_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", store__durability="none") as daemon:
        daemon.wait_ready()
        with daemon.client("line") as client:
            assert inspect(client, "S1", step_index=1)["recorded"] == "none"
            assert client.status()["store"] == {"state": "off", "durability": "none"}
            with pytest.raises(RefusedError, match="records nothing"):
                client.ask("query", last=1)
            with pytest.raises(RefusedError, match="target_request_id asks for one answer"):
                client.ask("query", last=1, target_request_id="r")
        assert not list(daemon.home.glob("store/*sqlite*"))
        assert results(daemon.home).returncode == 3


@pytest.mark.parametrize(
    ("durability", "expected"), [("process", ("OK", "", "none")), ("power", ("ERROR", "3008", ""))]
)
def test_a_store_that_cannot_be_opened_is_survived_and_said(
    tmp_path: Path, durability: str, expected: tuple[str, str, str]
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store").write_text("a file where the folder should be")
    with serving(tmp_path, "steady", store__durability=durability) as daemon:
        daemon.wait_ready()
        with daemon.client("line") as client:
            result = inspect(client, "S1", step_index=1)
            store = client.status()["store"]
        assert (result["status"], result["error_code"], result.get("recorded", "")) == expected
        assert (store["state"], store["durability"]) == ("failing", durability)
        assert "results cannot be kept" in daemon.log
        (daemon.home / "store").unlink()
        with daemon.client("line") as client:
            while client.status()["store"]["state"] != "good":
                pass
            assert inspect(client, "S1", step_index=1)["recorded"] == durability


def test_a_damaged_store_is_set_aside_and_said(daemon: Daemon) -> None:
    with daemon.client("line") as client:
        inspect(client, "S1", step_index=1)
    daemon.kill()
    for suffix in ("", "-wal"):
        (daemon.home / "store" / f"results.sqlite{suffix}").write_bytes(b"\xff" * 8192)
    daemon.start()
    daemon.wait_ready()
    with daemon.client("line") as client:
        assert inspect(client, "S1", step_index=1)["recorded"] == "power"
        (aside,) = client.status()["store"]["set_aside"]
    assert (daemon.home / "store" / aside).exists()
    assert "was damaged" in daemon.log


def test_a_disk_below_the_minimum_refuses_new_inspections_and_gives_old_answers(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon:
        daemon.wait_ready()
        with daemon.client("line") as client:
            asked = request(client, "before")
            told = ask_again(client, asked)
        daemon.kill()
        with (daemon.home / "station.toml").open("a") as settings:
            settings.write("store.min_free_mb = 1000000000\n")
        daemon.start()
        daemon.wait_ready()
        with daemon.client("line") as client:
            assert ask_again(client, asked) == told
            refused = inspect(client, "S1", step_index=1)
            assert (refused["status"], refused["error_code"]) == ("ERROR", "3007")
            assert client.status()["store"]["refused"] == {"disk": 1, "store": 0}
