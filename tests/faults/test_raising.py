"""Exceptions that end a process elsewhere, or are a fault themselves, are answers here (spec.md §1, §6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from procvision_sdk.errors import MAX_TRACEBACK_BYTES
from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import inspect


@pytest.mark.fault("A4", "A5")
def test_whatever_is_raised_is_1009_and_the_process_goes_on(tmp_path: Path) -> None:
    raised = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "mute", "verbose")
    with around_a_fault(tmp_path, "raising") as daemon, daemon.client() as client:
        for how in raised:
            result = inspect(client, "R3", user_params={"how": how})
            assert (result["status"], result["error_code"]) == ("ERROR", "1009"), result
            assert (result["attempts"], result["incarnation"]) == (1, 1)
            assert {"mute": "MuteError", "verbose": "xxx"}.get(how, how) in result["message"], how
            assert len(result["message"].encode()) <= MAX_TRACEBACK_BYTES
            assert len(result["diagnostics"].get("traceback", "").encode()) <= MAX_TRACEBACK_BYTES
        assert inspect(client, "R3")["incarnation"] == 1
