"""At whatever file-system call a store fails or dies: no acknowledged answer is lost, and it recovers (spec.md §5.13).

A real process takes the store through all it does: open, commits, checkpoints, ballast, backup, damage, restore, close.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import pytest

from tests.doubles.kept_lines import assert_recovered
from tests.doubles.strace import Injection, most_calls_of_a_thread, needs_strace, under_strace

SEED = 20260101
MODULE = "tests.doubles.whole_write_path"
CHANGING = ("pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "openat", "unlink", "rename", "mkdir")
READING = ("pread64", "newfstatat", "mmap", "fcntl")
# What each call can fail with; an error that the system never gives it proves nothing.
ERRORS = {
    "EIO": ("pwrite64", "fdatasync", "fsync", "ftruncate", "fallocate", "openat", "unlink", "rename", *READING[:2]),
    "ENOSPC": ("pwrite64", "fdatasync", "ftruncate", "fallocate", "openat", "rename", "mkdir"),
    "EROFS": ("openat", "unlink", "rename", "ftruncate", "mkdir"),
    "EMFILE": ("openat",),
    "ENOMEM": ("openat", "mmap", "newfstatat", "unlink", "rename"),
    "ENOLCK": ("fcntl",),
}
# Locks are asked for by the hundred, in the same few places.
EACH_NTH = {"fcntl": 7}


def store_of(folder: Path) -> Path:
    folder.mkdir()
    return folder / "store" / "results.sqlite"


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How often an undisturbed run makes each call."""
    ran = under_strace(MODULE, store_of(tmp_path_factory.mktemp("counted") / "run"), (*CHANGING, *READING))
    assert ran.returncode == 0 and "lost" not in " ".join(ran.lines), (ran.lines, ran.errors)
    return most_calls_of_a_thread(ran.trace)


def points(most: dict[str, int], fault: str) -> list[Injection]:
    """Every place at which an undisturbed run meets the calls of this fault."""
    calls = CHANGING if fault == "signal=KILL" else ERRORS[fault.removeprefix("error=")]
    return [
        Injection(call, fault, number)
        for call in calls
        for number in range(1, most.get(call, 0) + 1, EACH_NTH.get(call, 1))
    ]


def survive(folder: Path, injection: Injection) -> bool:
    """Whether the fault was met; what it must not do is asserted."""
    path = store_of(folder)
    ran = under_strace(MODULE, path, (injection.call,), injection)
    if injection.fault == "signal=KILL":
        assert ran.returncode in (-9, 137, 0), (injection, ran.errors)
    else:
        assert ran.returncode == 0, (injection, ran.errors)
        assert ran.lines[-1].startswith("kept "), (injection, ran.lines, ran.errors)
    assert_recovered(path, ran.lines)
    shutil.rmtree(folder)
    return ran.met


@needs_strace
@pytest.mark.fault("B4", "B5")
@pytest.mark.parametrize(
    ("fault", "sample"), [("signal=KILL", 4), ("error=ENOSPC", 3), ("error=EIO", 3), ("error=EMFILE", 1)]
)
def test_at_a_sample_of_its_calls_no_acknowledged_answer_is_lost_and_the_store_recovers(
    tmp_path: Path, counted: dict[str, int], fault: str, sample: int
) -> None:
    all_points = points(counted, fault)
    met = [survive(tmp_path / "run", one) for one in random.Random(SEED).sample(all_points, sample)]
    assert sum(met) >= sample - 1


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.fault("B4", "B5")
@pytest.mark.parametrize("fault", ["signal=KILL", *(f"error={name}" for name in ERRORS)])
def test_at_each_of_its_calls_no_acknowledged_answer_is_lost_and_the_store_recovers(
    tmp_path: Path, counted: dict[str, int], fault: str
) -> None:
    all_points = points(counted, fault)
    failures = []
    met = 0
    for one in all_points:
        try:
            met += survive(tmp_path / "run", one)
        except AssertionError as error:
            failures.append(f"{one}: {str(error)[:600]}")
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
    print(f"{fault}: {len(all_points)} points, {met} met, {len(failures)} failed", file=sys.stderr)
    assert not failures, "\n".join(failures)
