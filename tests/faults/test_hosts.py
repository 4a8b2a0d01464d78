"""Hosts that flood, stall, vanish or come back: others are served, and what is theirs is freed (spec.md §4.20, §4.40).

One runner with small limits for all of them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from runner.host.client import Client, RefusedError
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import IMAGE, ROOT, SLOTS, Daemon, inspect, submit
from tests.doubles.raw_host import LinkClosedError, RawHost, frame

MAX_LINKS = 12
META = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}
LIMITS: dict[str, Any] = {
    "host.max_links": MAX_LINKS,
    "host.max_outstanding": 8,
    "host.max_unread_bytes": 65_536,
    "host.hello_s": 0.5,
    "host.body_s": 0.2,
    # Half of a deadline is left for recording what missed it.
    "answer_margin_ms": 2000.0,
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with around_a_fault(tmp_path_factory.mktemp("s"), **LIMITS) as running:
        yield running


@pytest.fixture
def polite(daemon: Daemon) -> Iterator[Client]:
    """A host that was there before the rude one, and is served after it by the same process."""
    with daemon.client() as client:
        yield client
        assert_served(client)
    daemon.assert_nothing_is_lost()


def assert_served(client: Client) -> None:
    result = inspect(client, "S1", step_index=1)
    assert (result["status"], result["incarnation"]) == ("OK", 1), result


def gated(name: str) -> dict[str, Any]:
    return {"step_index": 1, "user_params": {"gate": name}}


@pytest.mark.fault("C2")
def test_hosts_that_send_a_byte_now_and_then_are_closed_and_nobody_waits_for_them(
    daemon: Daemon, polite: Client
) -> None:
    beginnings = [b"", b"\0", b"\0\0\0\x40", b'\0\0\0\x40{"type"']
    with ExitStack() as opened:
        slow = [(opened.enter_context(RawHost(daemon.home)), begun) for begun in beginnings]
        half = [(opened.enter_context(daemon.host()), begun) for begun in beginnings[1:]]
        for host, begun in (*slow, *half):
            host.write(begun)
        assert_served(polite)
        told = [host.hear_the_end() for host, _ in slow]
        assert ["no hello" in one[0]["message"] for one in told] == [True] * len(slow)
        unfinished = [host.hear_the_end() for host, _ in half]
        assert ["unfinished frame" in one[0]["message"] for one in unfinished] == [True] * len(half)
        assert {one["error_code"] for heard in (*told, *unfinished) for one in heard} == {"4001"}


@pytest.mark.fault("C2")
def test_a_frame_beyond_the_limit_is_refused_by_its_length(daemon: Daemon, polite: Client) -> None:
    assert polite.status()["health"] == "READY"
    with daemon.host() as host:
        host.write((2 * 1024 * 1024 + 1).to_bytes(4, "big") + b"x" * 60_000)
        assert [one["error_code"] for one in host.hear_the_end()] == ["4001"]


@pytest.mark.fault("C2")
def test_five_hundred_connections_are_told_that_the_runner_is_busy_and_a_host_that_was_there_is_served(
    daemon: Daemon, polite: Client
) -> None:
    told = []
    with ExitStack() as opened:
        hosts = [opened.enter_context(RawHost(daemon.home)) for _ in range(MAX_LINKS - 1)]
        for _ in range(500 - len(hosts)):
            with RawHost(daemon.home) as one_more:
                told += one_more.hear_the_end()
        assert_served(polite)
    assert {(one["type"], one["error_code"]) for one in told} == {("error", "3001")}
    assert "host.max_links" in told[0]["message"]
    assert len(told) >= 400  # those that said no hello made room after their time


@pytest.mark.fault("C3")
def test_a_flood_of_valid_calls_is_answered_or_busy_one_by_one(daemon: Daemon, polite: Client) -> None:
    with daemon.host() as greedy:
        lease = greedy.lease()
        asked = {"pid": "S1", "shared_mem_id": lease["shared_mem_id"], "image_meta": META, "keep": True}
        for number in range(300):
            greedy.say("inspect", request_id=f"flood-{number}", step_index=1, **asked)
        for _ in range(3):
            assert_served(polite)
        answers = [greedy.answer(f"flood-{number}") for number in range(300)]
    codes = [one["error_code"] for one in answers]
    assert set(codes) == {"", "3001"} and codes.count("") >= 8
    assert all("unanswered" in one["message"] for one in answers if one["error_code"])


@pytest.mark.fault("C4")
def test_a_host_that_reads_no_answer_is_disconnected_and_its_lease_is_free(daemon: Daemon, polite: Client) -> None:
    before = psutil.Process(daemon.process.pid).memory_info().rss
    with daemon.host() as deaf:
        deaf.lease()
        with pytest.raises(LinkClosedError):
            for _ in range(20_000):
                deaf.say("status")
        assert polite.status()["slots"]["free"] == SLOTS
    assert psutil.Process(daemon.process.pid).memory_info().rss - before < 32 * 1024 * 1024


@pytest.mark.fault("C5", "C6")
def test_a_host_that_goes_in_the_middle_of_a_call_finds_its_answer_when_it_comes_back(
    daemon: Daemon, polite: Client
) -> None:
    gone = daemon.client("leaver")
    submit(gone, "S1", request_id="mid", **gated("mid"))
    with daemon.gate("mid"):
        gone.close()
        daemon.wait_for(lambda status: status["slots"]["free"] == SLOTS - 1)
        assert polite.status()["inspections"]["in_flight"] == 1
    daemon.wait_for(lambda status: status["inspections"]["in_flight"] == 0)
    with daemon.client("leaver") as back:
        found = back.ask("query", target_request_id="mid")
        (row,) = [one for one in back.ask("query", last=1)["rows"] if one["request_id"] == "mid"]
    assert (found["status"], found["data"]["result_status"], found["recorded"]) == ("OK", "OK", "power")
    assert (row["client_id"], row["status"], row["verdict"]) == ("leaver", "OK", "OK")


@pytest.mark.fault("C7")
def test_one_id_is_one_inspection_the_same_again_gets_its_answer_and_another_is_refused(
    daemon: Daemon, polite: Client
) -> None:
    with daemon.client("twice") as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        asked = {"request_id": "one", "step_index": 1, "renew": False}
        first = client.inspect("S1", lease, meta, **asked)
        answered = daemon.worker("steady")["answered"]
        assert client.inspect("S1", lease, meta, **asked) == first
        other = client.inspect("S1", lease, meta, **{**asked, "step_index": 2})
        assert (other["status"], other["error_code"]) == ("ERROR", "4004")
        assert client.ask("query", target_request_id="one") == first
        assert daemon.worker("steady")["answered"] == answered
    assert polite.status()["health"] == "READY"


@pytest.mark.fault("C17")
def test_a_deadline_that_cannot_be_kept_is_answered_as_such_and_a_cancel_at_once(
    daemon: Daemon, polite: Client
) -> None:
    ahead, _ = submit(polite, "S1", **gated("ahead"))
    with daemon.gate("ahead"):
        hurried = inspect(polite, "S1", step_index=1, deadline_ms=600.0)
        waiting, _ = submit(polite, "S1", step_index=1)
        assert polite.ask("cancel", target_request_id=waiting) == {"stage": "waiting"}
        cancelled = polite.result(waiting)
        assert polite.ask("cancel", target_request_id=ahead) == {"stage": "running"}
    assert (hurried["error_code"], hurried["attempts"]) == ("1005", 0)
    assert (cancelled["error_code"], cancelled["attempts"]) == ("3006", 0)
    assert (told := polite.result(ahead))["error_code"] == "3006" and "result_status" not in str(told)


@pytest.mark.fault("C18")
def test_a_host_that_is_killed_and_starts_again_has_its_slots_back_and_no_old_lease(
    daemon: Daemon, polite: Client
) -> None:
    program = "import sys, os; from pathlib import Path; from runner.host.client import Client; "
    program += "c = Client.at(Path(sys.argv[1]), 'cell-3'); leases = [c.lease() for _ in range(4)]; "
    program += "print(leases[0].shared_mem_id, flush=True); os.kill(os.getpid(), 9)"
    command = [sys.executable, "-c", program, str(daemon.home)]
    killed = subprocess.run(command, cwd=ROOT, env=daemon.environment(), capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    with daemon.host(client_id="cell-3") as back:
        leases = [back.lease() for _ in range(SLOTS)]
        assert len({lease["offset"] for lease in leases}) == SLOTS
        old = killed.stdout.decode().strip()
        refused = back.ask("inspect", pid="S1", shared_mem_id=old, image_meta=META)
        assert (refused["status"], refused["error_code"]) == ("ERROR", "4003")
    daemon.wait_for(lambda status: status["slots"]["free"] == SLOTS)
    assert polite.status()["health"] == "READY"


@pytest.mark.fault("C20")
def test_descriptors_that_a_host_passes_are_not_kept(daemon: Daemon, polite: Client) -> None:
    runner = psutil.Process(daemon.process.pid)
    address = (daemon.home / "run" / "address").read_text("utf-8").removeprefix("unix:")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link, open(os.devnull, "rb") as passed:
        link.settimeout(60)
        link.connect(address)
        socket.send_fds(link, [frame(b'{"type":"hello"}')], [passed.fileno()] * 100)
        assert b'"type":"hello"' in link.recv(65_536)
        before = runner.num_fds()
        for number in range(100):
            ping = frame(b'{"type":"ping","request_id":"%d"}' % number)
            socket.send_fds(link, [ping], [passed.fileno()] * 100)
            assert b'"type":"pong"' in link.recv(65_536)
        assert runner.num_fds() == before
    assert polite.status()["health"] == "READY"


STRANGER = """
import os, socket, sys
os.chdir(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as link:
    link.settimeout(60)
    link.connect("runner.sock")
    try:
        link.sendall(b"\\0\\0\\0\\x10" + b'{"type":"hello"}')
    except OSError:
        pass
    sys.stdout.buffer.write(link.recv(65536))
"""


def _as_stranger(daemon: Daemon) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", STRANGER, str(daemon.home / "run")]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


@pytest.mark.fault("C19")
def test_another_user_does_not_come_in_even_where_the_folder_was_opened_to_everybody(
    daemon: Daemon, polite: Client
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to connect as another user")
    assert b"PermissionError" in _as_stranger(daemon).stderr
    run = daemon.home / "run"
    run.chmod(0o777)
    (run / "runner.sock").chmod(0o777)
    try:
        told = _as_stranger(daemon)
    finally:
        run.chmod(0o700)
        (run / "runner.sock").chmod(0o600)
    assert told.returncode == 0, told.stderr
    assert b'"error_code":"4005"' in told.stdout and b"user 65534" in told.stdout
    assert b'"type":"hello"' not in told.stdout
    assert "a connection was refused: user 65534" in daemon.log
    assert polite.status()["health"] == "READY"


def _calling_home(client: Client, how: str) -> tuple[str, int]:
    """What it heard, and at which try: an orphan that was ended before it had called is followed by another."""
    for number in range(1, 11):
        result = inspect(client, "H9", user_params={"how": how})
        assert (result["status"], result["error_code"]) == ("OK", ""), result
        if heard := str(result["data"]["heard"]):
            return heard, number
        assert how == "its orphan"
    raise AssertionError(f"{how} was never heard")


@pytest.mark.fault("C19")
def test_an_algorithm_is_no_host(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "calling_home") as daemon, daemon.client() as client:
        tries = 0
        for how in ("itself", "its child", "its orphan"):
            heard, number = _calling_home(client, how)
            assert "4005" in heard and '"type":"hello"' not in heard
            tries += number
        assert 3 <= daemon.log.count("a connection was refused: process") <= tries
        os.kill(daemon.worker("calling_home")["os_pid"], signal.SIGKILL)  # what it left is reaped after it


@pytest.mark.fault("C19")
def test_over_tcp_a_host_without_the_token_is_refused(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, host__transport="tcp") as daemon:
        address = (daemon.home / "run" / "address").read_text("utf-8")
        for wrong in (None, "", "0" * 64):
            with pytest.raises(RefusedError, match="token") as refused:
                Client(address, token=wrong)
            assert refused.value.code == "4005"
