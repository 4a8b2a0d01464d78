"""A boot that fails is told, answered and distinguished by its exit code (spec.md §4)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doubles.adapter_process import AdapterProcess

MODULE = (sys.executable, "-B", "-m", "procvision_sdk.adapter")


@dataclass(frozen=True)
class Case:
    arguments: tuple[str, ...]
    exit_code: int
    text: str
    error_code: str = "1014"
    raised: str = ""


def entry(text: str) -> tuple[str, ...]:
    return ("--entry", text)


CANNOT_BOOT = {
    "nothing there": Case((), 10, "entry_point not found: searched --entry, PROC_ENTRY_POINT", "1004"),
    "no class in it": Case(entry("tests.algorithms.quiet"), 10, "entry_point not found: --entry: expected", "1004"),
    "missing module": Case(entry("nobody.here:A"), 11, "cannot be imported: ModuleNotFoundError"),
    "missing package": Case(entry("tests.algorithms.cannot_import:Algorithm"), 11, "nobody_installed"),
    "constructor": Case(entry("tests.algorithms.cannot_construct:Algorithm"), 11, "SystemExit: not today"),
    "no algorithm": Case(entry("tests.algorithms.cannot_construct:NoAlgorithm"), 11, "expected a subclass"),
    "no such class": Case(entry("tests.algorithms.quiet:Loud"), 11, "expected a subclass"),
    "setup": Case(entry("tests.algorithms.cannot_set_up:Algorithm"), 12, "weights.bin", raised="model"),
    "setup exits": Case(entry("tests.algorithms.cannot_set_up:Algorithm"), 12, "SystemExit", raised="exit"),
}


@pytest.mark.parametrize("case", CANNOT_BOOT.values(), ids=CANNOT_BOOT)
def test_what_cannot_boot_says_why_answers_what_waits_and_exits_with_its_code(tmp_path: Path, case: Case) -> None:
    environment = {"PROC_TEST_RAISE": case.raised}
    with AdapterProcess.of((*MODULE, *case.arguments), tmp_path, cwd=tmp_path, environment=environment) as adapter:
        adapter.say_call("first", "execute")
        hello, error, answer = adapter.hear_all()
        assert (hello["type"], error["type"], error["status"]) == ("hello", "error", "ERROR")
        assert (error["error_code"], answer["error_code"]) == (case.error_code, case.error_code)
        assert case.text in error["message"] and not error["recoverable"]
        assert "Traceback" in error["diagnostics"]["traceback"]
        assert (answer["type"], answer["request_id"]) == ("result", "first")
        assert adapter.exit_code() == case.exit_code
        assert any(record["message"] == "cannot boot" for record in adapter.records)
    assert adapter.notes == []


def test_a_setup_that_may_work_later_says_so(tmp_path: Path) -> None:
    command = (*MODULE, "--entry", "tests.algorithms.cannot_set_up:Algorithm")
    environment = {"PROC_TEST_RAISE": "recoverable"}
    with AdapterProcess.of(command, tmp_path, cwd=tmp_path, environment=environment) as adapter:
        error = adapter.greet()
        assert (error["type"], error["recoverable"], error["error_code"]) == ("error", True, "1014")
        assert adapter.exit_code() == 12


def test_a_shutdown_that_waits_for_a_failing_boot_is_acknowledged(tmp_path: Path) -> None:
    with AdapterProcess("cannot_import", tmp_path) as adapter:
        adapter.say(type="shutdown", request_id="s")
        kinds = [message["type"] for message in adapter.hear_all()]
        assert kinds == ["hello", "error", "shutdown"]
        assert adapter.exit_code() == 11


def test_a_collection_during_a_call_walks_what_setup_made_and_nothing_that_was_imported(tmp_path: Path) -> None:
    with AdapterProcess("counts_what_is_collected", tmp_path) as adapter:
        adapter.greet()
        told = adapter.call("r", "execute")["data"]
        assert adapter.shut_down() == 0
    assert told["walked"] * 4 < told["frozen"]
    assert told["ring_is_gone"]


def test_an_adapter_does_without_what_only_parameters_need() -> None:
    probe = "import sys, procvision_sdk.adapter.serve; print('pydantic' in sys.modules)"
    assert subprocess.run((sys.executable, "-c", probe), capture_output=True, text=True, check=True).stdout == "False\n"
