"""The init system hears when the station is ready, that it lives, and that it stops (spec.md §11.23)."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from runner.notify import Notifier
from tests.doubles.daemon import Daemon, serving
from tests.doubles.notify_socket import heard, init_system

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd's protocol needs a Unix socket")


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_a_state_arrives_at_the_named_socket(tmp_path: Path, kind: str) -> None:
    path = f"@{tmp_path.name}-{os.getpid()}" if kind == "abstract" else str(tmp_path / "notify")
    with init_system(path.replace("@", "\0")) as listening:
        Notifier({"NOTIFY_SOCKET": path}).tell("READY=1\nSTATUS=here")
        assert heard(listening) == ["READY=1", "STATUS=here"]


def test_nobody_who_listens_is_no_error(tmp_path: Path) -> None:
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")}).tell("READY=1")
    assert list(tmp_path.iterdir()) == []


def test_a_full_queue_neither_blocks_nor_raises(tmp_path: Path) -> None:
    with init_system(str(tmp_path / "notify")) as listening:
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(1000):
            notifier.tell("WATCHDOG=1")
        assert heard(listening) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    ("environment", "interval_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "10000000"}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 5.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_asks(environment: dict[str, str], interval_s: float | None) -> None:
    assert Notifier(environment).interval_s == interval_s


def test_the_watchdog_is_fed_by_the_loop_until_it_ends_and_not_at_all_without_one(tmp_path: Path) -> None:
    async def fed(environment: dict[str, str], listening: socket.socket) -> list[list[str]]:
        feeding = asyncio.create_task(Notifier(environment).feed())
        words = [await asyncio.to_thread(heard, listening) for _ in range(3)]
        feeding.cancel()
        return words

    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000"}
    with init_system(told["NOTIFY_SOCKET"]) as listening:
        assert asyncio.run(fed(told, listening)) == [["WATCHDOG=1"]] * 3
        asyncio.run(Notifier({**told, "WATCHDOG_USEC": ""}).feed())


def test_a_station_says_when_it_is_ready_that_it_lives_and_that_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings = Daemon.environment
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    monkeypatch.setattr(Daemon, "environment", lambda daemon: {**surroundings(daemon), **told})
    with init_system(told["NOTIFY_SOCKET"]) as listening, serving(tmp_path, "steady") as daemon:
        first = [heard(listening)]
        while "READY=1" not in first[-1]:
            first.append(heard(listening))
        assert {line for words in first[:-1] for line in words} <= {"WATCHDOG=1"}
        assert first[-1][1].startswith("STATUS=serving 2 products at unix:")
        with daemon.client() as client:  # who was told READY can connect
            assert client.status()["station"] == "tested"
        for _ in range(3):
            assert heard(listening) == ["WATCHDOG=1"]
        assert daemon.stop() == 0
        last = heard(listening)
        while last != ["STOPPING=1"]:
            assert last == ["WATCHDOG=1"]
            last = heard(listening)


def test_workers_are_not_told_where_the_init_system_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    surroundings = Daemon.environment
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"}
    monkeypatch.setattr(Daemon, "environment", lambda daemon: {**surroundings(daemon), **told})
    with serving(tmp_path, "steady") as daemon:
        worker = daemon.wait_ready()["deployments"][0]["workers"][0]["os_pid"]
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{worker}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" in Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
