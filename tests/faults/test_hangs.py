"""A worker that never answers: the host gets its error in time, the worker is ended, the next part is served.

spec.md §7.2, §7.3.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import inspect, serving, submit, worker_in

DEADLINE_MS = 300.0
# Pings that would end any worker that is not busy and misses one.
EAGER: dict[str, Any] = {"heartbeat__interval_s": 0.2, "heartbeat__grace_s": 10.0, "heartbeat__misses": 1}
# Nothing waits for a disk that others keep busy.
UNRECORDED: dict[str, Any] = {"store__durability": "none"}
BEATS: dict[str, Any] = {"heartbeat__interval_s": 0.05, "heartbeat__grace_s": 0.2, "heartbeat__misses": 2}
# Never is told from late by this: the limits of a call without a deadline are far above it.
NEVER_S = DEADLINE_MS * 10 / 1000


@pytest.mark.parametrize(
    ("how", "stack"),
    [
        pytest.param("sleep", "hanging.py", marks=pytest.mark.fault("A8")),
        pytest.param("spin", "hanging.py", marks=pytest.mark.fault("A9")),
        pytest.param("native", "hanging.py", marks=pytest.mark.fault("A10")),
        pytest.param("native_loop", "hanging.py", marks=pytest.mark.fault("A10")),
        pytest.param("deadlock", "hanging.py", marks=pytest.mark.fault("A12")),
        pytest.param("stopped", "", marks=pytest.mark.fault("A14")),
        pytest.param("deaf", "hanging.py", marks=pytest.mark.fault("A13")),
    ],
)
def test_a_hang_is_answered_before_its_deadline_and_the_next_part_goes_to_another_process(
    tmp_path: Path, how: str, stack: str
) -> None:
    # Pings are answered during a deadlock and not in native code: neither says anything of a busy worker.
    with around_a_fault(tmp_path, "hanging", **EAGER, **UNRECORDED) as daemon, daemon.client() as client:
        hung = daemon.worker("hanging")["os_pid"]
        began_s = time.monotonic()
        result = inspect(client, "H1", user_params={"how": how}, deadline_ms=DEADLINE_MS)
        took_s = time.monotonic() - began_s
        assert (result["status"], result["error_code"]) == ("ERROR", "1005"), result
        assert (result["attempts"], result["incarnation"]) == (1, 1)
        assert took_s < NEVER_S
        assert result["timings"]["total"] >= DEADLINE_MS - 50  # not given up while there was time
        after = inspect(client, "H1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        assert not psutil.pid_exists(hung)
        assert stack in daemon.log


@pytest.mark.fault("A13")
def test_native_code_that_hears_no_signal_is_ended_while_the_standby_serves(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hanging", workers__standby=1, **UNRECORDED) as daemon, daemon.client() as client:
        first = daemon.worker("hanging")
        result = inspect(client, "H1", user_params={"how": "deaf_native"}, deadline_ms=2 * DEADLINE_MS)
        assert (result["error_code"], result["incarnation"]) == ("1005", first["incarnation"])
        after = inspect(client, "H1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        daemon.wait_for(lambda status: worker_in(status, "hanging")["last_exit"] == "signal SIGKILL")
        assert "heard" not in daemon.notes
        assert "_loop_in_native_code" in daemon.log


STALLED: dict[str, Any] = {"heartbeat__interval_s": 0.05, "heartbeat__grace_s": 0.6, "heartbeat__misses": 1}


@pytest.mark.fault("A11")
@pytest.mark.parametrize(("how", "stalls"), [("native", 1), ("waiting", 0)])
def test_a_long_call_that_keeps_the_interpreter_is_accepted_and_reported(tmp_path: Path, how: str, stalls: int) -> None:
    with around_a_fault(tmp_path, "stalling", **STALLED) as daemon, daemon.client() as client:
        result = inspect(client, "G1", user_params={"how": how}, deadline_ms=30_000)
        assert (result["status"], result["attempts"], result["incarnation"]) == ("OK", 1, 1)
        worker = daemon.worker("stalling")
        assert (worker["gil_stalls"], worker["restarts"]) == (stalls, 0)
        assert (result["diagnostics"].get("gil_stall_ms", 0) > 600) == bool(stalls)
        assert ("gil_stall: it answered no ping for" in daemon.log) == bool(stalls)


@pytest.mark.fault("A14")
def test_a_process_that_stops_itself_while_idle_is_woken_and_serves_on(tmp_path: Path) -> None:
    beats: dict[str, Any] = {**BEATS, "heartbeat__misses": 1000}
    with around_a_fault(tmp_path, "stopping", **beats) as daemon, daemon.client() as client:
        assert inspect(client, "Z2", user_params={"how": "idle"})["status"] == "OK"
        daemon.wait_for(lambda _: "something had stopped it" in daemon.log)
        after = inspect(client, "Z2", deadline_ms=30_000)
        assert (after["status"], after["incarnation"]) == ("OK", 1)
        worker = daemon.worker("stopping")
        assert (worker["woken"], worker["restarts"]) == (1, 0)


def test_the_limit_of_a_call_is_that_of_its_hooks_when_its_deadline_is_later(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"timeouts__pre_execute_s": 0.1, "timeouts__execute_s": 0.1}
    with serving(tmp_path, "hanging", **limits) as daemon, daemon.client() as client:
        daemon.wait_ready()
        for fields in ({}, {"deadline_ms": 3_600_000.0}):
            result = inspect(client, "H1", user_params={"how": "sleep"}, **fields)
            assert (result["error_code"], result["attempts"]) == ("1005", 1)


def test_the_answers_of_a_hang_and_of_what_waits_behind_it_come_in_the_order_of_their_deadlines(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging") as daemon, daemon.host() as host:
        daemon.wait_ready()
        leases = [host.lease() for _ in range(3)]
        meta = {"width": 4, "height": 4, "timestamp_ms": 1, "camera_id": "c"}
        for name, lease, deadline_ms in zip("abc", leases, (600, 400, 200), strict=True):
            asked = {"pid": "H1", "shared_mem_id": lease["shared_mem_id"], "image_meta": meta}
            host.say("inspect", request_id=name, user_params={"how": "sleep"}, deadline_ms=deadline_ms, **asked)
        answers = [host.hear() for _ in range(3)]
        assert [one["request_id"] for one in answers] == ["c", "b", "a"]
        assert {one["error_code"] for one in answers} == {"1005"}
        assert [one["attempts"] for one in answers] == [0, 0, 1]


def test_a_hang_in_the_second_step_is_told_of_that_step_and_carries_no_verdict_of_the_first(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        session_id = client.open_session("S1")
        asked = {"session_id": session_id, "deadline_ms": DEADLINE_MS}
        request, _ = submit(client, "S1", user_params={"second_gate": "g"}, **asked)
        with daemon.gate("g"):
            result = client.result(request)
        assert (result["status"], result["error_code"], result["step_index"]) == ("ERROR", "1005", 2)
        assert "result_status" not in result["data"]
        assert [one["status"] for one in result["data"]["steps"]] == ["OK"]
        after = inspect(client, "S1", session_id=session_id, step_index=2)
        assert after["data"]["trail"] == ["pre1", "execute1", "pre2", "execute2"]


def test_a_hang_in_execute_drops_what_its_pre_execute_wrote(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        asked = {"session_id": client.open_session("S1"), "step_index": 1}
        assert inspect(client, "S1", phases="pre", **asked)["status"] == "OK"
        never = {"user_params": {"gate": "never"}, "deadline_ms": DEADLINE_MS}
        assert inspect(client, "S1", phases="execute", **asked, **never)["error_code"] == "1005"
        assert inspect(client, "S1", **asked)["data"]["trail"] == ["pre1", "execute1"]


def test_a_hang_of_one_product_holds_up_no_other(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        hanging, _ = submit(client, "H1", user_params={"how": "native"}, deadline_ms=1_000.0)
        assert [inspect(client, "S1")["status"] for _ in range(5)] == ["OK"] * 5
        assert worker_in(client.status(), "hanging")["state"] == "BUSY"
        client.ask("cancel", target_request_id=hanging)
        assert client.result(hanging)["error_code"] in ("1005", "3006")


def test_a_busy_worker_is_not_judged_by_its_pings(tmp_path: Path) -> None:
    beats: dict[str, Any] = {"heartbeat__interval_s": 0.02, "heartbeat__grace_s": 0.02, "heartbeat__misses": 1}
    with serving(tmp_path, "hanging", **beats) as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "H1", user_params={"how": "native"}, deadline_ms=1_000.0)
        assert result["error_code"] == "1005"  # 1013 had it been ended for a missing pong
        assert result["timings"]["total"] >= 900


def test_an_idle_worker_that_answers_no_ping_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", **BEATS) as daemon, daemon.client() as client:
        daemon.wait_ready()
        assert inspect(client, "H1", user_params={"how": "numb_when_idle"})["status"] == "OK"
        daemon.wait_for(lambda status: worker_in(status, "hanging")["incarnation"] == 2)
        assert inspect(client, "H1")["incarnation"] == 2


def test_an_idle_worker_that_something_has_stopped_is_woken(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging", **{**BEATS, "heartbeat__misses": 1000}) as daemon, daemon.client() as client:
        worker = worker_in(daemon.wait_ready(), "hanging")
        os.kill(worker["os_pid"], signal.SIGSTOP)
        stopped = psutil.Process(worker["os_pid"])
        while stopped.status() != psutil.STATUS_STOPPED:
            client.status()
        while stopped.status() == psutil.STATUS_STOPPED:
            client.status()
        result = inspect(client, "H1", deadline_ms=30_000)
        assert (result["status"], result["incarnation"]) == ("OK", 1)


def test_slots_of_a_hung_worker_are_free_once_it_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging") as daemon, daemon.client() as client:
        daemon.wait_ready()
        inspect(client, "H1", user_params={"how": "spin"}, deadline_ms=DEADLINE_MS)
        daemon.wait_for(lambda status: worker_in(status, "hanging")["incarnation"] == 2)
        slots = client.status()["slots"]
        assert (slots["free"], slots["quarantined"]) == (slots["count"], 0)


def test_the_stack_of_a_hang_is_in_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, "hanging") as daemon, daemon.client() as client:
        daemon.wait_ready()
        inspect(client, "H1", user_params={"how": "native"}, deadline_ms=DEADLINE_MS)
        inspect(client, "H1")
        assert "hanging.py" in daemon.log and "in act" in daemon.log
