"""What a host gets back: exactly one of OK, NG and ERROR, with everything it was told (spec.md §5, §4.32)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.doubles.daemon import IMAGE, Daemon, inspect, serving


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "steady") as running:
        running.wait_ready()
        yield running


ANSWERS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("OK", "OK", "", {"result_status": "OK"}),
    ("NG", "OK", "", {"result_status": "NG", "ng_reason": "a spot"}),
    ("ERROR", "ERROR", "1003", {}),
    ("RAISE", "ERROR", "1009", {}),
    ("PRE_ERROR", "ERROR", "1003", {}),
]


@pytest.mark.parametrize(("verdict", "status", "code", "expected"), ANSWERS)
def test_a_step_is_answered_by_its_verdict_or_by_its_error(
    daemon: Daemon, verdict: str, status: str, code: str, expected: dict[str, Any]
) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", step_index=1, user_params={"verdict": verdict})
    assert (result["status"], result["error_code"]) == (status, code), result
    assert result["data"].get("result_status") == expected.get("result_status")
    assert expected.items() <= result["data"].items()


@pytest.mark.parametrize("verdict", ["ERROR", "RAISE", "PRE_ERROR"])
def test_an_error_carries_no_verdict_in_any_corner(daemon: Daemon, verdict: str) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", user_params={"verdict": verdict})
    assert "result_status" not in str(result)


def test_the_pixels_that_the_host_wrote_are_the_ones_that_both_hooks_saw_and_nobody_copied_them(daemon: Daemon) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", step_index=1)
    assert result["data"]["total"] == result["data"]["pre_execute"]["total"] == int(IMAGE.sum())
    assert (result["copies"], result["decodes"]) == (0, 0)


def test_a_result_says_who_inspected_what_and_how_long_it_took(daemon: Daemon) -> None:
    with daemon.client() as client:
        result = inspect(client, "S2", step_index=2, request_id="r-1", trace_id="t-1")
    assert result["request_id"] == "r-1"
    assert (result["pid"], result["step_index"]) == ("S2", 2)
    assert result["deployment"] == {"name": "steady", "version": "1.0"}
    assert (result["incarnation"], result["attempts"], result["recorded"]) == (1, 1, "power")
    timings = result["timings"]
    assert set(timings) == {"queue", "pre_execute", "execute", "total"}
    assert timings["total"] >= timings["pre_execute"] + timings["execute"] > 0
    assert result["session_id"]


def test_an_exception_of_the_algorithm_reaches_the_host_with_its_traceback(daemon: Daemon) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", step_index=1, user_params={"verdict": "RAISE"})
    assert result["error_name"] == "execute_exception"
    assert "nothing found" in result["message"]
    assert "steady.py" in result["diagnostics"]["traceback"]


def test_without_a_step_index_all_steps_run_and_the_last_one_is_the_answer(daemon: Daemon) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1")
    assert [(one["step_index"], one["status"]) for one in result["data"]["steps"]] == [(1, "OK"), (2, "OK")]
    assert (result["step_index"], result["attempts"]) == (2, 2)
    assert result["data"]["trail"] == ["pre1", "execute1", "pre2", "execute2"]


@pytest.mark.parametrize(
    ("verdict", "status", "code"), [("NG", "OK", ""), ("ERROR", "ERROR", "1003"), ("RAISE", "ERROR", "1009")]
)
def test_an_ng_or_error_in_the_first_step_ends_the_run_and_is_the_answer(
    daemon: Daemon, verdict: str, status: str, code: str
) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", user_params={"verdict": verdict})
    assert (result["status"], result["error_code"], result["step_index"]) == (status, code, 1)
    steps = result["data"]["steps"]
    assert [(one["step_index"], one["status"], one["error_code"]) for one in steps] == [(1, status, code)]
    assert result["data"].get("result_status") == ("NG" if verdict == "NG" else None)


def test_parameters_that_were_not_given_have_their_defaults_and_go_to_the_steps_that_declare_them(
    daemon: Daemon,
) -> None:
    with daemon.client() as client:
        result = inspect(client, "S1", user_params={"limit": 7})
    given = [one["data"]["given"] for one in result["data"]["steps"]]
    assert given == [{"verdict": "OK", "gate": "", "limit": 7}, {"second_gate": ""}]
