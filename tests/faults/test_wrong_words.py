"""A child that breaks the protocol: nothing it says is believed, and nothing is recorded twice (spec.md §4.11)."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.wire import framing
from procvision_sdk.wire.calls import Call, SessionRef
from runner.workers.launch import LaunchPlan
from runner.workers.process import WorkerProcess
from runner.workers.worker import Worker, WorkerId
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import Daemon, inspect, serving, submit, worker_in
from tests.sdk.test_wire_fuzz import FROM_ADAPTER, mutate

SLOW = [pytest.mark.slow, pytest.mark.timeout(1800)]
_MIB = 1024 * 1024


def peak_bytes(os_pid: int) -> int:
    """The most memory a process ever had."""
    status = Path(f"/proc/{os_pid}/status").read_text("ascii").splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def rows(daemon: Daemon, request_id: str) -> list[tuple[str, str]]:
    """What is recorded under this id: status and code of each row."""
    with closing(sqlite3.connect(daemon.home / "store" / "results.sqlite")) as file:
        return file.execute("SELECT status, code FROM results WHERE request_id = ?", (request_id,)).fetchall()


BROKEN = [
    pytest.param("other_call", "somebody-elses", marks=pytest.mark.fault("A31")),
    pytest.param("no_id", "result: request_id", marks=pytest.mark.fault("A31")),
    pytest.param("out_of_turn", "said ready while it was busy", marks=pytest.mark.fault("A31")),
    pytest.param("another_kind", "inspect", marks=pytest.mark.fault("A31")),
    pytest.param("wrong_type", "data", marks=pytest.mark.fault("A31")),
    pytest.param("partial", "exit code 3", marks=pytest.mark.fault("A33")),
    pytest.param("no_length", "announced", marks=pytest.mark.fault("A33")),
    pytest.param("empty", "not JSON", marks=pytest.mark.fault("A33")),
    pytest.param("longest", "announced 4294967295 bytes", marks=pytest.mark.fault("A33")),
    pytest.param("negative", "announced 2147483648 bytes", marks=pytest.mark.fault("A33")),
    pytest.param("not_json", "not UTF-8", marks=pytest.mark.fault("A33")),
]


@pytest.mark.parametrize(("how", "told"), BROKEN)
def test_a_child_that_answers_wrongly_is_ended_and_the_host_is_told_what_it_said(
    tmp_path: Path, how: str, told: str
) -> None:
    with around_a_fault(tmp_path, "scripted") as daemon, daemon.client("line") as client:
        before = peak_bytes(daemon.process.pid)
        result = inspect(client, "Z1", user_params={"how": how}, request_id="broken")
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1013", 1), result
        assert told in result["message"] and "result_status" not in result["data"]
        after = inspect(client, "Z1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        assert peak_bytes(daemon.process.pid) - before < 32 * _MIB
        assert rows(daemon, "broken") == [("ERROR", "1013")]


@pytest.mark.fault("A31")
def test_a_second_result_for_one_call_is_not_believed_and_ends_the_child(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "scripted") as daemon, daemon.client("line") as client:
        submit(client, "Z1", user_params={"how": "twice"}, request_id="twice")
        waiting, _ = submit(client, "Z1")
        result, after = client.result("twice"), client.result(waiting)
        assert (result["status"], result["data"]["result_status"]) == ("OK", "OK")
        assert (after["status"], after["incarnation"], after["attempts"]) == ("OK", 2, 1), after
        assert client.ask("query", target_request_id="twice") == result
        assert rows(daemon, "twice") == [("OK", "")]


@pytest.mark.fault("A31")
def test_a_result_after_the_deadline_is_not_heard(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "scripted") as daemon, daemon.client("line") as client:
        result = inspect(client, "Z1", user_params={"how": "late"}, deadline_ms=200.0, request_id="late")
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1005", 1)
        after = inspect(client, "Z1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        assert client.ask("query", target_request_id="late") == result
        assert rows(daemon, "late") == [("ERROR", "1005")]


@pytest.mark.fault("A32")
@pytest.mark.parametrize(
    ("project", "how", "told"),
    [
        ("scripted", "another major", "the adapter speaks protocol 7.0, this runner 1.0"),
        ("claiming", "supported_pids", "supported_pids"),
        ("claiming", "version", "version"),
        ("claiming", "name", "name"),
    ],
)
def test_a_child_that_claims_to_be_another_is_not_taken_into_service(
    tmp_path: Path, project: str, how: str, told: str
) -> None:
    settings: dict[str, Any] = {"environment.PROC_TEST_HOW": how}
    with around_a_fault(tmp_path, project, **settings) as daemon, daemon.client() as client:
        worker = worker_in(client.status(), project)
        assert (worker["state"], worker["restarts"]) == ("FATAL", 0)
        result = inspect(client, {"scripted": "Z1", "claiming": "X9"}[project])
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1014", 0)
        assert told in result["message"]


@pytest.mark.fault("A32", "A33")
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("no version", "protocol_version"),
        ("ready first", "said ready while it was greeting"),
        ("hello twice", "said hello while it was booting"),
        ("banner", "announced"),
        ("half a hello", "exit code 0"),
    ],
)
def test_a_child_whose_first_words_are_wrong_never_serves_and_slows_down(tmp_path: Path, how: str, told: str) -> None:
    settings: dict[str, Any] = {"environment.PROC_TEST_HOW": how, "workers.restarts": 1}
    with serving(tmp_path, "steady", "scripted", **settings) as daemon, daemon.client() as client:
        status = daemon.wait_for(lambda status: worker_in(status, "scripted")["state"] == "BACKOFF" and _slowed(status))
        assert worker_in(status, "scripted")["answered"] == 0
        refused = inspect(client, "Z1")
        assert (refused["error_code"], refused["attempts"]) == ("3002", 0), refused
        assert told in daemon.log
        assert inspect(client, "S1")["incarnation"] == 1


def _slowed(status: dict[str, object]) -> bool:
    deployments = status["deployments"]
    assert isinstance(deployments, list)
    return any(one["restarts_too_often"] for one in deployments)


def frames_of(dice: random.Random) -> bytes:
    """A few mutated frames of a child, some of them with a wrong length."""
    sent = bytearray()
    for _ in range(dice.randint(1, 4)):
        whole = framing.encode(dice.choice(FROM_ADAPTER))
        sent += mutate(whole, dice) if dice.random() < 0.7 else whole
    return bytes(sent)


class Unread(asyncio.WriteTransport):
    """Takes whatever is said to the child."""

    def write(self, data: object) -> None: ...


async def hear_anything(frames: int) -> int:
    """What children may say, to the runner's end of their pipe; how many of them were given up."""
    dice = random.Random(20_250_110)
    heard = given_up = 0
    plan = LaunchPlan(("true",), Path(), {}, Path())
    while heard < frames:
        worker = Worker(WorkerId("any", 0, 1), lambda _: None, lambda _: None, lambda _: None)
        process = WorkerProcess(plan, worker)
        worker._process = process
        process._input = Unread()
        for _ in range(50):
            asked = asyncio.ensure_future(worker.call(Call(request_id="r", phase="step", session=SessionRef(id="s"))))
            await asyncio.sleep(0)
            process.pipe_data_received(1, frames_of(dice))
            heard += 1
            assert len(process._decoder._pending) <= framing.MAX_BODY_BYTES + 4
            asked.cancel()
            if worker._abandoned:
                given_up += 1
                break
    return given_up


@pytest.mark.fault("A33")
@pytest.mark.parametrize("frames", [5_000, pytest.param(1_000_000, marks=SLOW)])
def test_whatever_children_say_the_runners_end_never_breaks(frames: int) -> None:
    assert asyncio.run(hear_anything(frames)) > frames // 100
