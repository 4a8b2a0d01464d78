"""A process that not even SIGKILL ends is given up, and holds up nobody (spec.md §7.26).

What waits in the kernel and cannot be interrupted is made here by a debugger: it holds the process at its exit, with
all its memory still mapped, until it lets go.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import SLOTS, Daemon, inspect, serving, worker_in

_SEIZE, _DETACH, _OPTION_STOP_AT_EXIT = 0x4206, 17, 0x40
_WALL = 0x40000000
SETTINGS: dict[str, Any] = {"timeouts__kill_s": 0.3, "store__durability": "none"}


def _ptrace(request: int, os_pid: int, option: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(request, os_pid, None, option):
        raise OSError(ctypes.get_errno(), "ptrace")


@contextmanager
def unkillable(os_pid: int) -> Iterator[None]:
    """Hold the main thread of a process at its exit as long as the block lasts."""
    _ptrace(_SEIZE, os_pid, _OPTION_STOP_AT_EXIT)
    try:
        yield
    finally:
        os.waitpid(os_pid, _WALL)
        _ptrace(_DETACH, os_pid)


def _hang(daemon: Daemon) -> None:
    with daemon.client() as client:
        result = inspect(client, "H1", user_params={"how": "sleep"}, deadline_ms=300.0)
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1005", 1)
    daemon.wait_for(lambda status: worker_in(status, "hanging")["abandoned"] == 1)


@pytest.mark.fault("A15")
def test_a_worker_that_cannot_be_ended_is_given_up_and_its_slot_is_held_until_it_is_gone(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hanging", **SETTINGS) as daemon:
        stuck = daemon.worker("hanging")["os_pid"]
        with unkillable(stuck):
            _hang(daemon)
            with daemon.client() as client:
                after = inspect(client, "H1")
                assert (after["status"], after["incarnation"]) == ("OK", 2)
                slots = client.status()["slots"]
                assert (slots["quarantined"], slots["free"]) == (1, SLOTS - 1)
            assert psutil.pid_exists(stuck)
            assert f"process {stuck} did not end within 0.3 s of SIGKILL" in daemon.log
        daemon.wait_for(lambda status: status["slots"]["free"] == SLOTS)
        assert not psutil.pid_exists(stuck)


@pytest.mark.fault("A15")
def test_a_worker_that_cannot_be_ended_holds_up_no_stop(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", timeouts__teardown_s=0.3, **SETTINGS) as daemon:
        daemon.wait_ready()
        given_up, stopped = daemon.worker("hanging")["os_pid"], -1
        with unkillable(given_up):
            _hang(daemon)
            daemon.wait_ready()
            stopped = daemon.worker("hanging")["os_pid"]
            with unkillable(stopped):
                assert daemon.stop() == 0
    assert given_up != stopped
