"""Workers are ended in every way there is, under load: nothing is lost, doubled, mixed up or torn (spec.md §4, §7)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEED = 20261120
NEVER = ("lost", "duplicated", "wrong", "torn")
MINUTES = pytest.param(900, id="15 minutes", marks=[pytest.mark.slow, pytest.mark.timeout(1500)])


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seconds", [pytest.param(60, id="1 minute"), MINUTES])
def test_faults_under_load_lose_double_and_mix_up_nothing(seconds: int) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos", "--seconds", str(seconds), "--seed", str(SEED), "--json"]
    print(*command)
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    told = json.loads(ended.stdout)
    assert {key: told[key] for key in NEVER} == dict.fromkeys(NEVER, 0), told["examples"]
    assert told["failures"] == []
    assert ended.returncode == 0
    assert told["calls"] > 0 and sum(told["faults"].values()) > 0
