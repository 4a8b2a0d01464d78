"""After a power cut every answer that was told to be kept is there (spec.md §5.12, §5.14): whatever the disk had done.

The calls of a real process that takes the store through all it does are recorded once; each crash that they allow is
then put on the disk and opened by the next life of the runner.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.doubles.kept_lines import assert_recovered
from tests.doubles.power_cut import Cut, Op, cuts, recorded
from tests.doubles.strace import needs_strace

SEED = 20260101
MODULE = "tests.doubles.whole_write_path"
# The files of a cut need no disk; opening a few thousand stores on one would take its time.
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
pytestmark = needs_strace


def record(folder: Path, durability: str) -> tuple[Path, list[Op]]:
    path = folder / "store" / "results.sqlite"
    path.parent.mkdir()
    return path, recorded(MODULE, str(path), durability, folder=path.parent)


def assert_survived(path: Path, cut: Cut) -> None:
    """The next life on what the cut left."""
    with tempfile.TemporaryDirectory(prefix="store-", dir=IN_MEMORY) as folder:
        for name, content in cut.files.items():
            # The index of the log is memory, not a file: nothing of it outlives the machine.
            if not name.endswith("-shm"):
                (Path(folder) / Path(name).name).write_bytes(content)
        assert_recovered(Path(folder) / path.name, cut.lines)


def lost(path: Path, ops: Sequence[Op], places: Sequence[int], tries: int) -> tuple[int, list[str]]:
    """How many cuts there were, and what was lost in which."""
    chance = random.Random(SEED)
    count, found = 0, []
    for at in places:
        for cut in cuts(ops, at, chance, tries):
            count += 1
            try:
                assert_survived(path, cut)
            except AssertionError as error:
                found.append(f"before call {at}, {ops[at]!r:.200}: {str(error)[:300]}")
    return count, found


@pytest.mark.fault("B14")
def test_a_sample_of_power_cuts_loses_no_acknowledged_answer(tmp_path: Path) -> None:
    path, ops = record(tmp_path, "power")
    places = sorted(random.Random(SEED).sample(range(len(ops)), 40))
    _, found = lost(path, ops, places, 1)
    assert not found, found[:5]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.fault("B14")
def test_no_power_cut_loses_an_acknowledged_answer(tmp_path: Path) -> None:
    path, ops = record(tmp_path, "power")
    count, found = lost(path, ops, range(len(ops)), 4)
    print(f"{len(ops)} calls, {count} power cuts, {len(found)} lost something", file=sys.stderr)
    assert not found, "\n".join(found[:20])


def test_where_only_a_killed_runner_is_survived_a_power_cut_does_take_answers(tmp_path: Path) -> None:
    path, ops = record(tmp_path, "process")
    ends = [at for at, op in enumerate(ops) if op.kind == "said"]
    _, found = lost(path, ops, [ends[3] + 1, ends[5]], 0)
    assert found, "the replay finds nothing: it would find nothing for power either"
