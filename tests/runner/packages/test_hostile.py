"""No hostile file gets in: refused with its code, nothing written that stays, nothing run (spec.md §10.22)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runner.packages.hostile.archives import Hostile
from tests.runner.packages.hostile.corpus import every

ROOT = Path(__file__).parents[3]
CORPUS = every()
# Goal 150 MiB and 2 s each; the machine is shared, so the time only tells a refusal from a hang.
PEAK_KIB, LIMIT_S = 150 * 1024, 20.0
FOLDERS = ["deployed", "deployed/.trash", "incoming", "store", "store/staging", "store/wheels"]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All of them, installed in one process: its peak of memory is that of the worst."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "in").mkdir()
    for number, one in enumerate(CORPUS):
        (folder / "in" / f"{number}.zip").write_bytes(one.data())
    command = (sys.executable, "-m", "tests.runner.packages.hostile.corpus", str(folder))
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["home", "in"]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_the_corpus_is_large_and_each_name_is_its_own() -> None:
    assert len({one.name for one in CORPUS}) == len(CORPUS) >= 60


@pytest.mark.parametrize("one", CORPUS, ids=lambda one: one.name)
def test_a_hostile_file_is_refused_with_its_code_and_leaves_nothing(report: dict[str, Any], one: Hostile) -> None:
    found = report["files"][one.name]
    assert found["code"] in one.codes, found
    assert found["left"] == FOLDERS
    assert found["message"] and found["seconds"] < LIMIT_S
    assert not Path("/tmp/procvision-hostile-ran").exists()


def test_refusing_takes_little_memory(report: dict[str, Any]) -> None:
    assert report["peak_kib"] < PEAK_KIB
