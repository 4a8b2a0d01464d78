"""Frames and the end: order, pings during hooks, waiting calls, and exactly one teardown (spec.md §4)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from procvision_sdk.adapter.channel import Channel
from procvision_sdk.wire import body, framing
from procvision_sdk.wire.framing import MAX_BODY_BYTES
from tests.doubles.adapter_process import LIMIT_S, AdapterProcess, let_through, make_gate

ONCE = ["setup", "teardown"]


def frame(**message: object) -> bytes:
    return framing.encode(body.encode(message))


def test_frames_in_pieces_stuck_together_and_malformed_are_answered_and_survived(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.greet()
        call = frame(type="call", request_id="r", data={"phase": "info"})
        for byte in call:
            adapter.write(bytes([byte]))
        assert adapter.hear()["request_id"] == "r"
        adapter.write(call + frame(type="ping", request_id="p") + call[:7])
        assert {adapter.hear()["type"], adapter.hear()["type"]} == {"pong", "result"}
        adapter.write(call[7:])
        assert adapter.hear()["request_id"] == "r"
        for raw in (b"", b"{", b"\xff\xfe", b"[1]", b'{"a":NaN}', b'{"type":"ping","request_id":5}'):
            adapter.write(framing.encode(raw))
            error = adapter.hear()
            assert (error["type"], error["error_code"][0]) == ("error", "4"), raw
        assert adapter.ask(type="explode", request_id="x")["error_code"] == "4002"
        assert adapter.call("y", "excute")["error_code"] == "1006"
        assert adapter.call("z", "step", step_index=0)["error_code"] == "1006"
        assert adapter.call("r", "step")["status"] == "OK"
        assert adapter.shut_down() == 0
    assert adapter.notes == ONCE


def test_an_overlong_frame_is_answered_after_the_calls_before_it_and_ends_the_link(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.greet()
        late = frame(type="call", request_id="late", data={"phase": "info"})
        adapter.write(frame(type="call", request_id="r", data={"phase": "info"}))
        adapter.write(framing.HEADER.pack(MAX_BODY_BYTES + 1) + late)
        heard = adapter.hear_all()
        assert sorted(one["type"] for one in heard) == ["error", "result"]
        assert {one.get("request_id") for one in heard} == {"r", None}
        assert next(one for one in heard if one["type"] == "error")["error_code"] == "4001"
        assert adapter.exit_code() == 13
    assert adapter.notes == ONCE


def test_another_protocol_major_is_refused_by_both_names_and_exit_13(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.hear()
        error = adapter.ask(type="hello", request_id="h", protocol_version="2.0")
        assert (error["type"], error["request_id"]) == ("error", "h")
        assert "2.0" in error["message"] and "1.0" in error["message"]
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 13
    assert adapter.notes == ONCE


def test_a_long_call_hears_pings_queues_sixteen_and_refuses_more(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_execute", tmp_path) as adapter:
        adapter.greet()
        adapter.say_call("running", "execute")
        let_through(entered)
        adapter.say_call("too late", "info", deadline_ms=0)
        for number in range(15):
            adapter.say_call(str(number), "info")
        assert adapter.ask(type="ping", request_id="p")["request_id"] == "p"
        adapter.say_call("refused", "info")
        refused = adapter.hear()
        assert (refused["request_id"], refused["error_code"]) == ("refused", "3001")
        adapter.say(type="shutdown", request_id="s")
        adapter.say_call("after", "info")
        after = adapter.hear()
        assert (after["request_id"], after["error_code"]) == ("after", "3001")
        let_through(held)
        heard = adapter.hear_all()
        order = ["running", "too late", *map(str, range(15)), "s"]
        assert [one["request_id"] for one in heard] == order
        assert (heard[1]["error_code"], heard[1]["error_name"]) == ("1005", "timeout")
        assert [one["status"] for one in heard] == ["OK", "ERROR", *["OK"] * 16]
        assert adapter.exit_code() == 0
    assert adapter.notes == ["setup", "executed", "teardown"]


def test_pings_overtake_calls_that_wait_though_each_of_them_is_short(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_execute", tmp_path) as adapter:
        adapter.greet()
        together = frame(type="call", request_id="a", data={"phase": "execute", "step_index": 1, "pid": "p"})
        adapter.write(together + frame(type="call", request_id="b", data={"phase": "info"}) + frame(type="ping"))
        assert adapter.hear()["type"] == "pong"
        let_through(entered)
        let_through(held)
        assert [adapter.hear()["request_id"] for _ in range(2)] == ["a", "b"]
        assert adapter.shut_down() == 0


def test_a_short_call_is_not_handed_to_another_thread(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.greet()
        watcher = next(one for one in psutil.Process(adapter.process.pid).threads() if one.id != adapter.process.pid)
        before = _voluntary_switches(adapter.process.pid, watcher.id)
        for number in range(300):
            adapter.call(str(number), "step")
        after = _voluntary_switches(adapter.process.pid, watcher.id)
        assert adapter.shut_down() == 0
    # The watcher wakes a few times a second by itself; one hand-over per call would be hundreds.
    assert after - before < 150


def test_the_watcher_does_not_wait_for_what_the_main_thread_has_read_before_it() -> None:
    (calls, _asking), (_answers, answering) = os.pipe(), os.pipe()
    channel = Channel(calls, answering)
    with channel.inside_hook():
        watcher = threading.Thread(target=channel._read_for_the_main_thread, daemon=True)
        watcher.start()
        watcher.join(LIMIT_S / 10)
        waits = watcher.is_alive()
        os.write(_asking, frame(type="ping", request_id="p"))  # lets it go in any case
        watcher.join(LIMIT_S)
    own = (channel._stop_reading, channel._stop_writing, channel._wake_reading, channel._wake_writing)
    for descriptor in (calls, _asking, _answers, answering, *own):
        os.close(descriptor)
    assert not waits, "it holds the ears until the next frame comes: the main thread cannot leave its hook"


def _voluntary_switches(os_pid: int, thread: int) -> int:
    status = Path(f"/proc/{os_pid}/task/{thread}/status").read_text("utf-8")
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_a_host_that_says_no_hello_is_served_and_never_hears_ready(tmp_path: Path) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.say_call("r", "step")
        adapter.end_input()
        assert [one["type"] for one in adapter.hear_all()] == ["hello", "result"]
        assert adapter.exit_code() == 0
    assert adapter.notes == ONCE


@pytest.mark.parametrize("how", ["shutdown", "end of input", "half a frame", "SIGTERM", "broken pipe"])
def test_an_idle_adapter_ends_politely_with_one_teardown(tmp_path: Path, how: str) -> None:
    with AdapterProcess("quiet", tmp_path) as adapter:
        adapter.greet()
        match how:
            case "shutdown":
                assert adapter.shut_down() == 0
            case "end of input":
                adapter.end_input()
            case "half a frame":
                adapter.write(b"\0\0\0\x09{")
                adapter.end_input()
            case "SIGTERM":
                adapter.process.send_signal(signal.SIGTERM)
            case _:
                adapter.stop_reading()
        assert adapter.exit_code() == 0
    assert adapter.notes == ONCE


@pytest.mark.parametrize("how", ["shutdown", "end of input", "SIGTERM", "broken pipe"])
def test_an_end_during_a_hook_lets_it_finish_and_tears_down_once(tmp_path: Path, how: str) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_execute", tmp_path) as adapter:
        adapter.greet()
        adapter.say_call("r", "execute")
        adapter.say_call("waiting", "info")
        let_through(entered)
        assert adapter.ask(type="ping")["type"] == "pong"
        match how:
            case "shutdown":
                adapter.say(type="shutdown", request_id="s")
            case "end of input":
                adapter.end_input()
            case "SIGTERM":
                adapter.process.send_signal(signal.SIGTERM)
            case _:
                adapter.stop_reading()
        let_through(held)
        if how != "broken pipe":
            running, waiting, *rest = adapter.hear_all()
            assert (running["request_id"], running["status"]) == ("r", "OK")
            assert waiting["request_id"] == "waiting"
            assert waiting["error_code"] == ("3001" if how == "SIGTERM" else "")
            assert [one["type"] for one in rest] == (["shutdown"] if how == "shutdown" else [])
        assert adapter.exit_code() == 0
    assert adapter.notes == ["setup", "executed", "teardown"]


@pytest.mark.parametrize("how", ["SIGTERM", "end of input"])
def test_a_hook_that_does_not_come_back_after_the_end_is_ended_hard(tmp_path: Path, how: str) -> None:
    entered, _ = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_execute", tmp_path) as adapter:
        adapter.greet()
        adapter.say_call("r", "execute")
        let_through(entered)
        if how == "SIGTERM":
            adapter.process.send_signal(signal.SIGTERM)
        else:
            adapter.end_input()
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 15
    assert adapter.notes == ["setup"]


def test_a_teardown_that_does_not_come_back_is_ended_hard(tmp_path: Path) -> None:
    with AdapterProcess("waits_in_teardown", tmp_path) as adapter:
        adapter.greet()
        adapter.say(type="shutdown", request_id="s")
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 15
    assert adapter.notes == ONCE


def test_sigterm_during_setup_ends_after_it_with_a_teardown(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("waits_in_setup", tmp_path) as adapter:
        adapter.hear()
        let_through(entered)
        adapter.process.send_signal(signal.SIGTERM)
        let_through(held)
        assert adapter.hear_all() == []
        assert adapter.exit_code() == 0
    assert adapter.notes == ONCE


def test_a_fatal_error_answers_what_waits_tears_down_and_ends(tmp_path: Path) -> None:
    entered, held = make_gate(tmp_path, "entered"), make_gate(tmp_path, "held")
    with AdapterProcess("fatal", tmp_path) as adapter:
        adapter.greet()
        adapter.say_call("r", "execute")
        let_through(entered)
        adapter.say_call("waiting", "info")
        let_through(held)
        fatal, waiting = adapter.hear_all()
        assert (fatal["request_id"], fatal["error_code"], fatal["fatal"]) == ("r", "1009", True)
        assert (waiting["request_id"], waiting["error_code"]) == ("waiting", "3001")
        assert adapter.exit_code() == 0
    assert adapter.notes == ONCE


def test_threads_and_children_left_behind_do_not_keep_the_process_or_its_pipe(tmp_path: Path) -> None:
    with AdapterProcess("leaves_things_running", tmp_path) as adapter:
        adapter.greet()
        adapter.call("r", "execute")
        assert adapter.shut_down() == 0
        assert adapter.hear_all() == []
    child = psutil.Process(int(adapter.notes[1]))
    child.kill()
    assert adapter.notes[::2] == ONCE


@pytest.mark.parametrize("child", ["returns", "raises"])
def test_a_forked_child_that_comes_back_writes_no_frame_and_tears_nothing_down(tmp_path: Path, child: str) -> None:
    with AdapterProcess("forks_a_child", tmp_path) as adapter:
        adapter.greet()
        assert adapter.call("r", "execute", user_params={"child": child})["status"] == "OK"
        assert adapter.ask(type="ping", request_id="p")["request_id"] == "p"
        assert adapter.shut_down() == 0
    assert adapter.notes == ["setup", "child:0", "teardown"]


def test_an_algorithm_may_work_with_a_pool_of_forked_processes(tmp_path: Path) -> None:
    with AdapterProcess("uses_a_pool", tmp_path) as adapter:
        adapter.greet()
        data = adapter.call("r", "execute")["data"]
        assert (data["squares"], data["ended_by"]) == ([1, 4, 9], -signal.SIGTERM)
        assert adapter.shut_down() == 0
    assert adapter.log.count("from the pool") == 3
