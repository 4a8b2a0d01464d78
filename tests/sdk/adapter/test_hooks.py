"""One result for each call, whatever the hooks do; sessions that go on and go back (spec.md §1, §2, §5)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from procvision_sdk import dev_clear_shared_memory, write_image_array_to_shared_memory
from procvision_sdk.errors import MAX_TRACEBACK_BYTES
from tests.doubles.adapter_process import AdapterProcess

SPECIMENS = Path(__file__).parents[2] / "specimens"

RAISED = [
    ("exit", "1009", "SystemExit: 0"),
    ("interrupt", "1009", "KeyboardInterrupt"),
    ("generator", "1009", "GeneratorExit"),
    ("memory", "1012", "no room"),
    ("mute", "1009", "text could not be made"),
    ("rude", "1009", "text could not be made"),
    ("long", "1009", "... cut ..."),
    ("surrogate", "1009", "\\ud800"),
    ("known", "1002", "dark"),
    ("own code", "", "dark"),
    ("without init", "1009", "WithoutInit"),
    ("nothing of that name", "1009", "KeyError"),
]


def test_whatever_is_raised_becomes_an_error_and_the_process_goes_on(tmp_path: Path) -> None:
    with AdapterProcess("raises", tmp_path) as adapter:
        adapter.greet()
        for what, code, text in RAISED:
            answer = adapter.call(what, "step", user_params={"what": what})
            assert answer["status"] == "ERROR" and "result_status" not in answer["data"], what
            assert text in answer["message"], what
            assert code in (answer["error_code"], ""), what
            assert "session" not in answer
            assert len(answer["diagnostics"].get("traceback", "").encode()) <= MAX_TRACEBACK_BYTES
        assert adapter.call("known", "step", user_params={"what": "known"})["hint"] == "open the shutter"
        assert "Traceback" in answer["diagnostics"]["traceback"]
        assert adapter.shut_down() == 0
    assert adapter.notes == ["setup", "teardown"]


RETURNED = [
    ("none", "1010", "got NoneType"),
    ("list", "1010", "got list"),
    ("coroutine", "1010", "got coroutine"),
    ("no verdict", "1010", "data.result_status: expected 'OK' or 'NG', got nothing"),
    ("misspelt", "1010", "status: expected 'OK' or 'ERROR'"),
    ("nan", "1010", "data.defect_rects[3].score: "),
    ("bytes", "1010", "data.pixels: "),
    ("outside", "1007", "data.defect_rects[0]: "),
    ("large", "1011", "data.values"),
    ("long", "1011", "bytes of text"),
]


def test_what_is_no_result_is_an_error_with_its_place_and_never_ok(tmp_path: Path) -> None:
    with AdapterProcess("returns_anything", tmp_path) as adapter:
        adapter.greet()
        for what, code, text in RETURNED:
            answer = adapter.call(what, "execute", user_params={"what": what})
            assert (answer["status"], answer["error_code"]) == ("ERROR", code), what
            assert text in answer["message"], what
        answer = adapter.call("own", "execute", user_params={"what": "own phase"})
        assert (answer["data"]["phase"], answer["data"]["step_index"]) == ("execute", 1)
        assert answer["data"]["latency_ms"] >= 0
        answer = adapter.call("numpy", "execute", user_params={"what": "numpy"})
        assert answer["data"]["mean"] == 0.5 and answer["data"]["defect_rects"][0]["width"] == 1
        assert adapter.shut_down() == 0


def test_a_raise_of_a_small_hook_is_reported_and_aborts_nothing(tmp_path: Path) -> None:
    with AdapterProcess("raises_in_small_hooks", tmp_path) as adapter:
        adapter.greet()
        first = adapter.call("a", "step")
        assert first["data"]["result_status"] == "OK"
        assert [error["hook"] for error in first["diagnostics"]["hook_errors"]] == ["on_step_start", "on_step_finish"]
        again = adapter.call("b", "step")
        assert again["diagnostics"]["hook_errors"][0]["hook"] == "reset"
        assert adapter.call("c", "on_step_start")["status"] == "OK"
        assert adapter.call("d", "on_step_finish")["status"] == "OK"
        assert adapter.call("e", "reset")["error_code"] == "1009"
        assert adapter.shut_down() == 0
        assert any(record["message"] == "teardown raised" for record in adapter.records)


def test_a_session_goes_on_from_pre_to_execute_to_the_next_step(tmp_path: Path) -> None:
    with AdapterProcess("records_hooks", tmp_path) as adapter:
        adapter.greet()
        pre = adapter.call("a", "pre", trace_id="t")
        assert pre["session"] == {"version": 1, "set": {"count": 1, "started": 1}, "deleted": []}
        execute = adapter.call("b", "execute")
        assert execute["data"]["count"] == 11 and execute["session"]["version"] == 2
        step = adapter.call("c", "step", step_index=2, session={"id": "s", "context": {"trace_id": "u"}})
        assert step["data"]["count"] == 22 and step["data"]["pre_execute"] == {"count": 12, "message": ""}
        assert step["session"] == {"version": 3, "set": {"count": 22, "started": 2, "finished": 2}, "deleted": []}
        assert adapter.call("d", "execute", session={"id": "other"})["data"]["count"] == 10
        assert adapter.shut_down() == 0
    assert adapter.notes[1:-1] == [
        *("start:1:p:t", "pre:1", "execute:1", "finish:1:OK:"),
        *("start:2:p:u", "pre:2", "execute:2", "finish:2:OK:"),
        *("start:1:p:None", "execute:1", "finish:1:OK:"),
    ]


@pytest.mark.parametrize("phases", [("step",), ("pre", "execute")])
@pytest.mark.parametrize("fail", ["pre", "execute"])
def test_an_error_goes_back_to_the_state_before_the_attempt(tmp_path: Path, phases: tuple[str, ...], fail: str) -> None:
    with AdapterProcess("records_hooks", tmp_path) as adapter:
        adapter.greet()
        adapter.call("first", "step")
        for phase in phases:
            answer = adapter.call(phase, phase, step_index=2, user_params={"fail": fail})
            if answer["status"] == "ERROR":
                break
        assert answer["error_code"] == ("5001" if fail == "pre" else "1009")
        assert "session" not in answer
        again = adapter.call("again", "step", step_index=2)
        assert (again["data"]["count"], again["session"]["version"]) == (22, 2)
        assert adapter.shut_down() == 0
    code = "5001" if fail == "pre" else "1009"
    attempt = ["start:2:p:None", "pre:2", *(["execute:2"] if fail == "execute" else []), f"finish:2:ERROR:{code}"]
    assert adapter.notes[5:-1] == [*attempt, "reset:11", "start:2:p:None", "pre:2", "execute:2", "finish:2:OK:"]


def test_a_call_that_is_refused_ends_the_attempt_that_was_open(tmp_path: Path) -> None:
    with AdapterProcess("records_hooks", tmp_path) as adapter:
        adapter.greet()
        assert adapter.call("x", "step", pid="q")["error_code"] == "1001"
        assert adapter.call("y", "step", step_index=7)["error_code"] == "1006"
        adapter.call("a", "pre")
        assert adapter.call("b", "execute", pid="q")["error_code"] == "1001"
        assert adapter.call("c", "step")["data"]["count"] == 11
        assert adapter.shut_down() == 0
    assert adapter.notes[1:4] == ["start:1:p:None", "pre:1", "finish:1:ERROR:1001"]


def test_a_state_that_is_not_here_is_asked_for_and_taken(tmp_path: Path) -> None:
    with AdapterProcess("records_hooks", tmp_path) as adapter:
        adapter.greet()
        missing = adapter.call("a", "step", session={"id": "s", "version": 4})
        assert (missing["status"], missing["error_code"]) == ("ERROR", "3009")
        sent = adapter.call("b", "step", session={"id": "s", "version": 4, "state": {"count": 100, "old": None}})
        assert (sent["data"]["count"], sent["session"]["version"]) == (111, 5)
        assert adapter.call("c", "step", session={"id": "s", "version": 5})["session"]["version"] == 6
        assert adapter.call("d", "step", session={"id": "s", "version": 5})["error_code"] == "3009"
        assert adapter.call("e", "step", session={"id": "new", "version": 0})["session"]["version"] == 1
        ended = adapter.call("f", "step", session={"id": "once", "version": 0}, ends_session=True)
        assert ended["status"] == "OK"
        assert adapter.call("g", "step", session={"id": "once", "version": 1})["error_code"] == "3009"
        assert adapter.shut_down() == 0
    assert adapter.notes[-2] == "reset:11"


def test_a_host_that_drives_the_small_hooks_itself_gets_each_of_them_once(tmp_path: Path) -> None:
    with AdapterProcess("records_hooks", tmp_path) as adapter:
        adapter.greet()
        for phase in ("on_step_start", "pre", "execute", "on_step_finish"):
            assert adapter.call(phase, phase)["status"] == "OK"
        adapter.call("again", "step")
        adapter.call("reset", "reset")
        assert adapter.shut_down() == 0
    assert adapter.notes[1:-1] == [
        *("start:1:p:None", "pre:1", "execute:1", "finish:1:OK:"),
        *("reset:11", "start:1:p:None", "pre:1", "execute:1", "finish:1:OK:", "reset:22"),
    ]


def test_setup_teardown_and_setup_again_load_as_often_as_they_should(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.greet()
        assert adapter.call("a", "setup")["status"] == "OK"
        assert adapter.call("b", "teardown")["status"] == "OK"
        refused = adapter.call("c", "step")
        assert (refused["error_code"], refused["hint"]) == ("1014", "send phase setup before the next step")
        assert adapter.call("d", "teardown")["status"] == "OK"
        assert adapter.call("e", "setup")["status"] == "OK"
        assert adapter.call("f", "step")["status"] == "OK"
        assert adapter.shut_down() == 0
    assert adapter.notes == ["setup", "teardown", "setup", "teardown"]


def test_parameters_are_filled_in_and_checked_and_logs_know_their_call(tmp_path: Path) -> None:
    with AdapterProcess("declares_parameters", tmp_path) as adapter:
        adapter.greet()
        session = {"id": "s", "context": {"trace_id": "t"}}
        answer = adapter.call("a", "execute", session=session)
        assert answer["diagnostics"] == {"threshold": 200}
        refused = adapter.call("b", "execute", user_params={"threshold": 256})
        assert refused["error_code"] == "1006" and "'threshold'" in refused["message"]
        assert refused["diagnostics"].get("threshold") is None
        assert adapter.call("c", "execute", user_params={"treshold": 1})["hint"]
        assert adapter.shut_down() == 0
        (record,) = [record for record in adapter.records if record["message"] == "looking"]
    expected = {"level": "info", "threshold": 200, "pid": "p", "step_index": 1, "session_id": "s"}
    assert {**expected, "request_id": "a", "trace_id": "t"}.items() <= record.items()


INFO: dict[str, Any] = {"name": "n", "version": "1", "supported_pids": ["p"], "steps": []}
WRONG_INFO = [
    ([], "get_info(): expected a dict, got list"),
    ({**INFO, "supported_pids": "p"}, "supported_pids: expected a list, got str"),
    ({**INFO, "steps": [{"name": "x"}]}, "get_info().steps[0].index: expected a whole number of 1 or more, got None"),
    ({**INFO, "steps": [{"index": 1}, 5]}, "get_info().steps[1].index"),
    ({**INFO, "steps": [{"index": 1, "params": {}}]}, "steps[0].params: expected a list"),
    ({**INFO, "steps": [{"index": 1, "params": [{"key": "k", "type": "flot"}]}]}, "get_info().steps[0].params: type: "),
    ({**INFO, "version": "2"}, "version: "),
    ({**INFO, "supported_pids": ["q"]}, "supported_pids: "),
]


@pytest.mark.parametrize(("info", "text"), WRONG_INFO, ids=[text for _, text in WRONG_INFO])
def test_an_algorithm_that_describes_itself_wrongly_cannot_boot_and_is_torn_down(
    tmp_path: Path, info: object, text: str
) -> None:
    manifest = {**INFO, "entry_point": "tests.algorithms.describes_itself_wrongly:Algorithm"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    command = (sys.executable, "-B", "-m", "procvision_sdk.adapter")
    with AdapterProcess.of(
        command, tmp_path, cwd=tmp_path, environment={"PROC_TEST_INFO": json.dumps(info)}
    ) as adapter:
        error = adapter.greet()
        assert (error["type"], error["error_code"]) == ("error", "1014")
        assert text in error["message"]
        assert adapter.exit_code() == 12
    assert adapter.notes == ["setup", "teardown"]


def test_what_hosts_in_the_field_send_is_served_frame_by_frame(tmp_path: Path) -> None:
    (tmp_path / "algorithm").mkdir()
    source = (SPECIMENS / "legacy_algorithm.py.txt").read_text("utf-8")
    (tmp_path / "algorithm" / "main.py").write_text(source, "utf-8")
    frames = [json.loads(line) for line in (SPECIMENS / "legacy_host.jsonl").read_text("utf-8").splitlines()]
    image = np.zeros((480, 640, 3), np.uint8)
    image[10:12, 20:23] = 255
    for shared_mem_id in ("shm:sid-1", "shm:sid-2"):
        write_image_array_to_shared_memory(shared_mem_id, image)
    command = (sys.executable, "-B", "-m", "procvision_sdk.adapter", "--entry", "algorithm.main:BrightSpot")
    heard = []
    with AdapterProcess.of(command, tmp_path, cwd=tmp_path) as adapter:
        assert adapter.hear()["type"] == "hello"
        for message in frames:
            adapter.say(**message)
            heard.append(adapter.hear())
        assert adapter.exit_code() == 0
        assert [record["message"] for record in adapter.records] == ["setup", "teardown"]
    for shared_mem_id in ("shm:sid-1", "shm:sid-2"):
        dev_clear_shared_memory(shared_mem_id)
    assert [one["type"] for one in heard] == ["ready", "pong", "pong", *["result"] * 8, "shutdown"]
    for message, answer in zip(frames[1:], heard[1:], strict=True):
        assert answer.get("request_id") == message.get("request_id")
        assert answer["status"] == "OK", answer
    info, setup, pre, execute, other = heard[3:8]
    assert info["data"]["supported_pids"] == ["A01", "A02"]
    assert setup["data"]["phase"] == "setup"
    assert pre["data"]["debug"] == {"latency_ms": 1.0}
    assert execute["data"]["result_status"] == other["data"]["result_status"] == "NG"
    rect = execute["data"]["defect_rects"][0]
    assert {key: rect[key] for key in ("x", "y", "width", "height")} == {"x": 20, "y": 10, "width": 3, "height": 2}
    assert execute["diagnostics"]["step_ms"] > 0
