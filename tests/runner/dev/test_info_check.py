"""get_info beside the manifest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from procvision_sdk.manifest import Manifest
from runner.dev.checks import Outcome
from runner.dev.info_check import compare

LEVEL = {"key": "level", "type": "int", "default": 5}
STEP = {"index": 1, "name": "look", "params": [LEVEL]}
MANIFEST = Manifest.parse(
    json.dumps(
        {"name": "n", "version": "1", "entry_point": "a:B", "supported_pids": ["A"], "steps": [STEP]},
    ),
    "test",
)

SAID: list[tuple[Any, Outcome, str]] = [
    ([STEP], Outcome.PASS, ""),
    ([{"index": 1}], Outcome.PASS, ""),
    ([{**STEP, "params": [{**LEVEL, "default": 6}]}], Outcome.WARN, "step 1 level"),
    ([], Outcome.FAIL, "the manifest says [1], get_info() says []"),
    (None, Outcome.FAIL, "get_info() says []"),
    ([STEP, {**STEP, "index": 2}], Outcome.FAIL, "[1, 2]"),
    ([{**STEP, "index": 0}], Outcome.FAIL, "get_info() says [0]"),
    ([{**STEP, "params": []}], Outcome.FAIL, "the manifest has the parameters ['level'], get_info() []"),
    ([{**STEP, "params": [{"key": "level"}]}], Outcome.FAIL, "Field required"),
    ([{**STEP, "params": "level"}], Outcome.FAIL, "'level'"),
]


@pytest.mark.parametrize(("steps", "result", "message"), SAID)
def test_steps_and_parameters_are_compared(steps: Any, result: Outcome, message: str) -> None:
    check = compare(MANIFEST, {"steps": steps})
    assert check.result is result
    assert message in check.message
