"""One session is one part's run over its steps, and nothing of it is lost between hooks and steps (spec.md §2)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.host.client import RefusedError
from tests.doubles.daemon import IMAGE, Daemon, inspect, serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "steady") as running:
        running.wait_ready()
        yield running


def test_what_one_step_writes_the_next_request_of_the_session_reads(daemon: Daemon) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1")
        inspect(client, "S1", session_id=session_id, step_index=1)
        result = inspect(client, "S1", session_id=session_id, step_index=2)
        client.end_session(session_id)
    assert result["data"]["trail"] == ["pre1", "execute1", "pre2", "execute2"]
    assert result["session_id"] == session_id


def test_sessions_do_not_see_one_another(daemon: Daemon) -> None:
    with daemon.client() as client:
        inspect(client, "S1", step_index=1)
        first, second = client.open_session("S1"), client.open_session("S1")
        inspect(client, "S1", session_id=first, step_index=1)
        result = inspect(client, "S1", session_id=second, step_index=1)
        client.end_session(first)
        client.end_session(second)
    assert result["data"]["trail"] == ["pre1", "execute1"]


@pytest.mark.parametrize("verdict", ["NG", "ERROR"])
def test_a_session_of_one_inspection_that_ended_early_is_reset_too(daemon: Daemon, verdict: str) -> None:
    with daemon.client() as client:
        session_id = inspect(client, "S1", user_params={"verdict": verdict})["session_id"]
        inspect(client, "S1")  # the worker answers this after the reset
    assert daemon.notes.count(f"reset-{session_id}") == 1


@pytest.mark.parametrize("verdict", ["ERROR", "RAISE", "PRE_ERROR"])
def test_an_error_drops_what_its_attempt_wrote(daemon: Daemon, verdict: str) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1")
        inspect(client, "S1", session_id=session_id, step_index=2)
        inspect(client, "S1", session_id=session_id, step_index=1, user_params={"verdict": verdict})
        result = inspect(client, "S1", session_id=session_id, step_index=1)
        client.end_session(session_id)
    assert result["data"]["trail"] == ["pre2", "execute2", "pre1", "execute1"]


def test_hooks_see_the_context_that_the_host_opened_the_session_with(daemon: Daemon) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1", {"operator": "Zoë"}, "part-7")
        result = inspect(client, "S1", session_id=session_id, step_index=1)
        client.end_session(session_id)
    assert session_id == "part-7"
    assert result["data"]["context"] == {"operator": "Zoë"}


def test_the_end_of_a_session_resets_the_worker_that_saw_it_once(daemon: Daemon) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1", session_id="ended")
        inspect(client, "S1", session_id=session_id)
        client.end_session(session_id)
        inspect(client, "S1")  # the worker answers this after the reset
    assert daemon.notes.count("reset-ended") == 1


def test_a_session_of_one_inspection_is_reset_with_its_answer(daemon: Daemon) -> None:
    with daemon.client() as client:
        session_id = inspect(client, "S1")["session_id"]
    assert daemon.notes.count(f"reset-{session_id}") == 1


def test_pre_execute_and_execute_can_be_asked_for_apart_with_another_image_each(daemon: Daemon) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1")
        prepared = inspect(client, "S1", session_id=session_id, step_index=1, phases="pre")
        lease = client.lease()
        meta = lease.put(IMAGE // 2)
        asked = {"session_id": session_id, "step_index": 1, "phases": "execute", "renew": False}
        executed = client.inspect("S1", lease, meta, **asked)
        client.end_session(session_id)
    assert prepared["data"]["total"] == int(IMAGE.sum()) and "result_status" not in prepared["data"]
    assert executed["data"]["total"] == int((IMAGE // 2).sum())
    assert executed["data"]["trail"] == ["pre1", "execute1"]
    assert "pre_execute" not in executed["data"]


REFUSED = [
    ("opened twice", "is open already"),
    ("unknown", "is not open"),
    ("ended", "is not open"),
    ("of another product", "belongs to product S1"),
]


@pytest.mark.parametrize(("what", "message"), REFUSED)
def test_a_session_that_cannot_be_used_is_refused_by_name(daemon: Daemon, what: str, message: str) -> None:
    with daemon.client() as client:
        session_id = client.open_session("S1")
        if what == "opened twice":
            with pytest.raises(RefusedError, match=message) as refused:
                client.open_session("S1", session_id=session_id)
            assert refused.value.code == "1006"
        else:
            if what == "ended":
                client.end_session(session_id)
            named = "nobody" if what == "unknown" else session_id
            result = inspect(client, "S2" if "product" in what else "S1", session_id=named, step_index=1)
            assert result["error_code"] == "1006" and message in result["message"]
        if what != "ended":
            client.end_session(session_id)


def test_a_session_that_nobody_touches_ends_by_itself_and_is_reset(tmp_path: Path) -> None:
    with serving(tmp_path, "steady", session_idle_s=0.7) as idle, idle.client() as client:
        idle.wait_ready()
        session_id = client.open_session("S1", session_id="forgotten")
        inspect(client, "S1", session_id=session_id, step_index=1)
        while "reset-forgotten" not in idle.notes:
            inspect(client, "S1")
        assert client.status()["sessions"] == 0
        assert inspect(client, "S1", session_id=session_id, step_index=1)["error_code"] == "1006"
