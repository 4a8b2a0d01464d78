"""A wall clock that jumps: nothing times out, rows keep their order, nothing is forgotten (spec.md §7.7, §11.15)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.host.client import Client
from tests.doubles.daemon import Daemon, inspect, submit

YEAR_S = 31_536_000
# One second before 32 bits are full.
END_OF_32_BITS_S = 2_147_483_647
JUMPS = {
    "an hour forward": 3600.0,
    "an hour back": -3600.0,
    "a year back": -float(YEAR_S),
    "a year forward": float(YEAR_S),
    "over the end of 32 bits": END_OF_32_BITS_S - time.time(),
}


class ClockedDaemon(Daemon):
    """Its wall clock is off by what `set_clock` says; the zone is one with summer time."""

    def command(self) -> list[str]:
        if not self._offset.exists():
            self.set_clock(0.0)
        _, _, _, *rest = super().command()
        return [sys.executable, "-m", "tests.doubles.wrong_clock", str(self._offset), *rest]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "TZ": "Europe/Berlin"}

    def set_clock(self, offset_s: float) -> None:
        new = self.folder / "offset.new"
        new.write_text(str(offset_s), "ascii")
        new.replace(self._offset)

    @property
    def _offset(self) -> Path:
        return self.folder / "offset"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[ClockedDaemon]:
    running = ClockedDaemon(tmp_path / "home", ("steady",), {"session_idle_s": 120.0})
    try:
        running.wait_ready()
        yield running
        running.assert_nothing_is_lost()
        assert running.stop() == 0, running.log
    finally:
        if running.process.poll() is None:
            running.kill()


def across(daemon: ClockedDaemon, client: Client, number: int, offset_s: float) -> dict[str, Any]:
    """The answer to an inspection with a deadline, during which the clock jumps."""
    gate = daemon.gate(f"gate{number}")
    name, _ = submit(
        client, "S1", session_id="part", step_index=1, deadline_ms=60_000, user_params={"gate": f"gate{number}"}
    )
    with gate:
        daemon.set_clock(offset_s)
        client.status()
    return client.result(name)


def listed(client: Client) -> list[str]:
    rows: list[dict[str, Any]] = client.ask("query")["rows"]
    seqs = [row["seq"] for row in rows]
    assert seqs == sorted(seqs, reverse=True)
    return [row["request_id"] for row in reversed(rows)]


@pytest.mark.fault("B10")
def test_a_clock_that_jumps_while_a_runner_runs_ends_no_call_no_session_and_no_row(daemon: ClockedDaemon) -> None:
    told = []
    with daemon.client("line") as client:
        client.ask("open_session", pid="S1", session_id="part")
        for number, offset_s in enumerate(JUMPS.values()):
            answer = across(daemon, client, number, offset_s)
            assert (answer["status"], answer["session_id"]) == ("OK", "part"), answer
            told.append(answer["request_id"])
        after = inspect(client, "S1", session_id="part", step_index=1)
        assert len(after["data"]["trail"]) > len(answer["data"]["trail"])
        told.append(after["request_id"])
        # Two of the runner's looks at what is too old.
        pruned = [client.status()["store"]["pruned"] for _ in range(2)]
        assert listed(client) == told and pruned == [0, 0]
        assert daemon.status()["health"] == "READY"


@pytest.mark.fault("B10")
@pytest.mark.parametrize("jump", ["a year forward", "a year back", "over the end of 32 bits"])
def test_a_clock_that_jumped_between_two_lives_frees_no_id_and_deletes_no_row(daemon: ClockedDaemon, jump: str) -> None:
    with daemon.client("line") as client:
        told = [inspect(client, "S1", step_index=1, request_id=f"r{number}") for number in range(3)]
    daemon.kill()
    daemon.set_clock(JUMPS[jump])
    daemon.start()
    daemon.wait_ready()
    with daemon.client("line") as client:
        assert client.status()["store"]["clock"] == "doubted"
        assert [client.ask("query", target_request_id=one["request_id"]) for one in told] == told
        after = inspect(client, "S1", step_index=1, request_id="after")
        assert after["status"] == "OK"
        assert listed(client) == ["r0", "r1", "r2", "after"]
        assert client.status()["store"]["pruned"] == 0
