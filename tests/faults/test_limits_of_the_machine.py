"""Too few descriptors, processes or shared memory: said clearly, workers come first, and it passes (spec.md §11.27)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from procvision_sdk.errors import SchemaError
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import ROOT, Daemon, inspect, serving, worker_in
from tests.doubles.raw_host import LIMIT_S, RawHost

# A worker keeps its protocol above 200: with fewer than that none can begin.
DESCRIPTORS = 256
SOMEBODY = 54_321
MOST_PROCESSES = 100
# The right to read files is for an interpreter below a private folder; it does not lift the limit of processes.
_READS_ALL = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
AS_SOMEBODY = ("setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", *_READS_ALL)
# Run inside the namespace of the runner, where its shared memory is.
INSPECT_IN_ITS_NAMESPACE = """
import sys
from pathlib import Path
from runner.host.client import Client
from tests.doubles.daemon import inspect
with Client.at(Path(sys.argv[1])) as client:
    print([inspect(client, "S1")["status"] for _ in range(3)], client.status()["health"])
"""


@pytest.mark.fault("B8")
def test_links_end_before_the_descriptors_of_the_workers_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = Daemon.command
    monkeypatch.setattr(
        Daemon, "command", lambda daemon: ["prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", *command(daemon)]
    )
    with around_a_fault(tmp_path, "crashing", host__max_links=1000) as daemon, daemon.client() as client:
        with ExitStack() as hosts:
            opened = 0
            while (told := greeting(hosts.enter_context(RawHost(daemon.home))))["type"] == "hello":
                opened += 1
                assert opened < DESCRIPTORS
            assert opened > DESCRIPTORS // 2
            assert (told["type"], told["error_code"]) == ("error", "3001")
            assert "descriptors left belong to the workers" in told["message"]
            with pytest.raises(SchemaError, match="belong to the workers"):
                daemon.client()
            for _ in range(3):
                assert inspect(client, "C1", user_params={"how": "exit"})["error_code"] == "3005"
                assert inspect(client, "C1")["status"] == "OK"
        told = {}
        while told.get("type") != "hello":  # until the runner has seen that the links are closed
            with RawHost(daemon.home) as host:
                told = greeting(host)


def greeting(host: RawHost) -> dict[str, Any]:
    with suppress(BrokenPipeError):  # a refusal and the end may come before our first word
        host.say("hello", protocol_version="1.0")
    return host.hear()


@pytest.fixture
def somebodys_folder() -> Iterator[Path]:
    """A folder that a user of the system who is nobody else owns."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None or sys.platform != "linux":
        pytest.skip("needs root and setpriv to run as another user, whose processes are counted apart")
    folder = Path(tempfile.mkdtemp(prefix="pv-somebody-"))
    os.chown(folder, SOMEBODY, SOMEBODY)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.fault("B9")
def test_without_a_process_to_be_had_a_worker_is_tried_again_until_there_is_one(
    somebodys_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, start = Daemon.command, Daemon.start
    limited = [*AS_SOMEBODY, "prlimit", f"--nproc={MOST_PROCESSES}:{MOST_PROCESSES}"]
    monkeypatch.setattr(Daemon, "command", lambda daemon: [*limited, *command(daemon)])
    monkeypatch.setattr(Daemon, "start", lambda daemon: start(given_away(daemon)))
    with serving(somebodys_folder, "crashing_between") as daemon, daemon.client() as client:
        assert psutil.Process(daemon.process.pid).uids().real == SOMEBODY
        daemon.wait_ready()
        with somebodys_other_threads():
            os.kill(daemon.worker("crashing_between")["os_pid"], 9)
            while not (told := client.status()["deployments"][0])["reason"]:
                assert told["health"] in ("READY", "DEGRADED")
            assert "Resource temporarily unavailable" in told["reason"]
            assert told["health"] == "DEGRADED"
        assert daemon.wait_ready()["deployments"][0]["reason"] == ""


@contextmanager
def somebodys_other_threads() -> Iterator[None]:
    """As many as the user may have processes."""
    program = "import threading; e = threading.Event(); "
    program += f"[threading.Thread(target=e.wait).start() for _ in range({MOST_PROCESSES})]"
    command = [*AS_SOMEBODY, sys.executable, "-S", "-c", program + "; print('here', flush=True); input(); e.set()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == b"here\n"
        try:
            yield
        finally:
            other.kill()


def given_away(daemon: Daemon) -> Daemon:
    for path in (daemon.folder, *daemon.folder.rglob("*")):
        os.chown(path, SOMEBODY, SOMEBODY)
    return daemon


@pytest.mark.fault("B7")
def test_shared_memory_that_others_fill_later_costs_no_inspection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        pytest.skip("needs root, unshare and nsenter for a small /dev/shm of its own")
    command = Daemon.command
    mounted = 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$@"'
    own = ["unshare", "-m", "sh", "-c", mounted, "sh"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    monkeypatch.setattr(Daemon, "command", lambda daemon: [*own, *command(daemon)])
    with serving(tmp_path, "steady", "crashing") as daemon:
        status = daemon.wait_ready()
        shared_memory = Path(f"/proc/{daemon.process.pid}/root/dev/shm")
        fill(shared_memory / "somebody-elses")
        os.kill(worker_in(status, "steady")["os_pid"], 9)
        daemon.wait_for(lambda status: worker_in(status, "steady")["restarts"] == 1)
        daemon.wait_ready()
        inside = ["nsenter", "-t", str(daemon.process.pid), "-m", sys.executable, "-c", INSPECT_IN_ITS_NAMESPACE]
        surroundings = {**daemon.environment(), "PYTHONPATH": str(ROOT)}
        said = subprocess.run([*inside, str(daemon.home)], env=surroundings, capture_output=True, timeout=LIMIT_S)
        assert said.stdout.decode().strip() == "['OK', 'OK', 'OK'] READY", said.stderr.decode()


def fill(path: Path) -> None:
    """Write until the file system has no room left."""
    with pytest.raises(OSError, match="No space left"), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.fault("B18")
def test_the_port_of_a_station_without_unix_sockets_is_the_systems_choice_and_never_taken(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "steady", home="one", station="one", **{"host.transport": "tcp"}) as one,
        serving(tmp_path, "steady", home="two", station="two", **{"host.transport": "tcp"}) as two,
    ):
        assert (one.home / "run" / "address").read_text() != (two.home / "run" / "address").read_text()
        for daemon in (one, two):
            with daemon.client() as client:
                assert inspect(client, "S1")["status"] == "OK"
