"""A worker that ends in the middle of a call: the host is told, the part may be asked again, the next one is served.

spec.md §7.5, §7.6, §2.6, §2.7.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import IMAGE, Daemon, inspect, serving, submit, worker_in


@pytest.mark.parametrize(
    ("how", "end"),
    [
        pytest.param("segfault", "SIGSEGV", marks=pytest.mark.fault("A1")),
        pytest.param("abort", "SIGABRT", marks=pytest.mark.fault("A2")),
        pytest.param("sigill", "SIGILL", marks=pytest.mark.fault("A2")),
        pytest.param("sigbus", "SIGBUS", marks=pytest.mark.fault("A2")),
        pytest.param("exit", "exit code 0", marks=pytest.mark.fault("A3")),
    ],
)
def test_a_crash_is_tried_once_more_then_told_with_its_cause_and_the_next_part_is_served(
    tmp_path: Path, how: str, end: str
) -> None:
    with around_a_fault(tmp_path, "crashing") as daemon, daemon.client() as client:
        result = inspect(client, "C1", user_params={"how": how})
        assert (result["status"], result["error_code"]) == ("ERROR", "3005"), result
        assert (result["attempts"], result["incarnation"]) == (2, 2)
        assert end in result["message"] and "result_status" not in result["data"]
        # Who ends by a signal still says where; who just leaves says nothing.
        assert ("crashing.py" in result["diagnostics"].get("stack", "")) == (how != "exit")
        after = inspect(client, "C1")
        assert (after["status"], after["incarnation"]) == ("OK", 3)
        status = client.status()
        (told,) = (one for one in status["deployments"] if one["name"] == "crashing")
        assert (told["workers"][0]["restarts"], told["retries"], told["poisons"]) == (2, 1, 1)
        (kept,) = (daemon.home / "store" / "poison").iterdir()
        assert (kept / "image.bin").read_bytes()[: IMAGE.nbytes] == IMAGE.tobytes()
        assert json.loads((kept / "request.json").read_text("utf-8"))["request_id"] == result["request_id"]


@pytest.mark.fault("A3")
def test_who_is_repeated_after_a_crash_is_not_refused_when_others_fill_the_queue(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "crashing", host__max_waiting=1) as daemon, daemon.client() as client:
        crashing, _ = submit(client, "C1", user_params={"how": "gate_once"}, deadline_ms=60_000)
        with daemon.gate("crashing"):
            waiting, _ = submit(client, "C1", deadline_ms=60_000)
            assert inspect(client, "C1")["error_code"] == "3001"
        results = [client.result(one) for one in (crashing, waiting)]
        assert [(one["status"], one["attempts"]) for one in results] == [("OK", 2), ("OK", 1)], results


@pytest.mark.fault("A7")
def test_when_memory_runs_out_an_algorithm_goes_before_the_runner_and_its_part_is_judged_all_the_same(
    tmp_path: Path,
) -> None:
    with around_a_fault(tmp_path, "crashing") as daemon, daemon.client() as client:
        worker = daemon.worker("crashing")["os_pid"]
        scores = [int(Path(f"/proc/{one}/oom_score_adj").read_text("ascii")) for one in (worker, daemon.process.pid)]
        assert scores[0] == 800 > scores[1]
        result = inspect(client, "C1", user_params={"how": "killed_once"})
        assert (result["status"], result["attempts"], result["incarnation"]) == ("OK", 2, 2)
        assert daemon.worker("crashing")["last_exit"] == "signal SIGKILL"


def test_a_crash_that_does_not_happen_again_costs_the_host_nothing(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing") as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "C1", user_params={"how": "exit_once"})
        assert (result["status"], result["data"]["result_status"]) == ("OK", "OK")
        assert (result["attempts"], result["incarnation"]) == (2, 2)
        assert client.status()["inspections"]["submitted"] == 1


def test_a_call_that_may_not_be_repeated_is_not(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing_once_only") as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "C2", user_params={"how": "exit"})
        assert (result["error_code"], result["attempts"]) == ("1013", 1)
        assert inspect(client, "C2")["status"] == "OK"
        assert daemon.notes == ["crashed"]


def test_a_call_whose_time_is_over_is_not_repeated(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing") as daemon, daemon.client() as client:
        daemon.wait_ready()
        # Half of a short deadline is its margin: a new process cannot boot in what is left of it.
        result = inspect(client, "C1", user_params={"how": "exit"}, deadline_ms=100.0)
        assert result["error_code"] in ("1013", "1005") and result["attempts"] == 1
        assert inspect(client, "C1")["status"] == "OK"


def end_worker(daemon: Daemon, deployment: str, number: int) -> None:
    """Send a signal to a worker and wait until its successor is ready."""
    worker = daemon.worker(deployment)
    os.kill(worker["os_pid"], number)
    daemon.wait_for(lambda status: _is_next(worker_in(status, deployment), worker["incarnation"]))


def _is_next(worker: dict[str, object], incarnation: int) -> bool:
    return worker["state"] == "READY" and worker["incarnation"] == incarnation + 1


def test_a_session_survives_the_end_of_its_worker_between_two_steps(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing_between") as daemon, daemon.client() as client:
        daemon.wait_ready()
        session_id = client.open_session("C3")
        first = inspect(client, "C3", session_id=session_id, step_index=1)
        end_worker(daemon, "crashing_between", signal.SIGKILL)
        second = inspect(client, "C3", session_id=session_id, step_index=2)
        assert (first["incarnation"], second["incarnation"]) == (1, 2)
        assert second["data"]["found"] == {"dx": 3}


def test_a_repeated_attempt_begins_with_the_state_before_it(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing_between") as daemon, daemon.client() as client:
        daemon.wait_ready()
        result = inspect(client, "C3", context={"crash": True})
        assert (result["status"], result["attempts"]) == ("OK", 3)
        assert (result["data"]["found"], result["data"]["tries"]) == ({"dx": 3}, 1)


def test_execute_is_refused_when_the_process_of_its_pre_execute_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing_between") as daemon, daemon.client() as client:
        daemon.wait_ready()
        session_id = client.open_session("C3")
        asked = {"session_id": session_id, "step_index": 1}
        assert inspect(client, "C3", phases="pre", **asked)["status"] == "OK"
        end_worker(daemon, "crashing_between", signal.SIGKILL)
        refused = inspect(client, "C3", phases="execute", **asked)
        assert refused["error_code"] == "1013" and "phases pre again" in refused["hint"]
        assert inspect(client, "C3", phases="pre", **asked)["status"] == "OK"
        assert inspect(client, "C3", phases="execute", **asked)["status"] == "OK"


def test_an_idle_worker_that_ends_is_replaced_before_anybody_asks(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing") as daemon, daemon.client() as client:
        daemon.wait_ready()
        end_worker(daemon, "crashing", signal.SIGTERM)
        result = inspect(client, "C1")
        assert (result["incarnation"], result["attempts"]) == (2, 1)


def test_what_waited_behind_a_crash_is_served_by_the_next_process(tmp_path: Path) -> None:
    with serving(tmp_path, "crashing_once_only", "steady") as daemon, daemon.client() as client:
        daemon.wait_ready()
        crashing, _ = submit(client, "C2", user_params={"how": "exit"})
        waiting = [submit(client, "C2")[0] for _ in range(2)]
        assert client.result(crashing)["error_code"] == "1013"
        assert [client.result(one)["incarnation"] for one in waiting] == [2, 2]
        assert inspect(client, "S1")["incarnation"] == 1


def test_a_worker_that_says_it_is_of_no_use_answers_first_and_is_then_replaced_politely(tmp_path: Path) -> None:
    with serving(tmp_path, "giving_up") as daemon, daemon.client() as client:
        daemon.wait_ready()
        fatal, _ = submit(client, "X1", user_params={"how": "fatal"})
        waiting, _ = submit(client, "X1")
        result, after = client.result(fatal), client.result(waiting)
        assert (result["error_code"], result["attempts"], result["incarnation"]) == ("1009", 1, 1)
        assert "the device is lost" in result["message"]
        assert (after["status"], after["attempts"], after["incarnation"]) == ("OK", 1, 2)
        assert daemon.notes == ["teardown"]
