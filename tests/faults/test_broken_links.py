"""A worker whose pipes do not work any more, or that says what no adapter would (spec.md §4, §7.23)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import inspect, worker_in


@pytest.mark.fault("A22")
def test_closing_the_standard_descriptors_is_harmless_and_closing_all_is_a_crash_with_its_exit_code(
    tmp_path: Path,
) -> None:
    with around_a_fault(tmp_path, "closing") as daemon, daemon.client() as client:
        harmless = [inspect(client, "C4", user_params={"how": how}) for how in ("standard", "no")]
        assert [(one["status"], one["attempts"], one["incarnation"]) for one in harmless] == [("OK", 1, 1)] * 2
        result = inspect(client, "C4", user_params={"how": "all"})
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "3005", 2), result
        assert "exit code 13" in result["message"]
        after = inspect(client, "C4")
        assert (after["status"], after["incarnation"]) == ("OK", 3)


@pytest.mark.fault("A23")
@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("length", "4294967295"),
        ("text", "JSON"),
        ("answer", "the adapter answered 'another'"),
    ],
)
def test_who_writes_between_the_frames_is_ended_and_nothing_of_it_is_taken_for_an_answer(
    tmp_path: Path, how: str, cause: str
) -> None:
    with around_a_fault(tmp_path, "garbling") as daemon, daemon.client() as client:
        result = inspect(client, "G2", user_params={"how": how}, deadline_ms=60_000)
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "3005", 2), result
        assert cause in result["message"], result["message"]
        assert worker_in(daemon.status(), "garbling")["last_exit"] == "signal SIGKILL"
        after = inspect(client, "G2")
        assert (after["status"], after["incarnation"]) == ("OK", 3)


@pytest.mark.fault("A25")
def test_who_reads_nothing_is_ended_and_the_call_is_repeated_on_the_next_process(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "hanging", timeouts__write_s=0.3) as daemon, daemon.client() as client:
        assert inspect(client, "H1", user_params={"how": "numb_when_idle"})["status"] == "OK"
        while "numb" not in daemon.notes:
            client.status()
        large = {"recipe": "x" * 500_000}  # more than a pipe and its buffer hold
        result = inspect(client, "H1", context=large, deadline_ms=60_000)
        assert (result["status"], result["attempts"], result["incarnation"]) == ("OK", 2, 2)
        assert "left what was sent to it unread for 0.3 s" in daemon.log
        (told,) = (one for one in daemon.status()["deployments"] if one["name"] == "hanging")
        assert (told["retries"], told["workers"][0]["last_exit"]) == (1, "signal SIGKILL")
