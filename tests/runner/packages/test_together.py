"""Operations at the same time, and ended at any file-system call (spec.md §10.29, §10.30)."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from procvision_sdk.errors import ProcVisionError
from runner.packages import lock
from runner.packages.ledger import first_break
from runner.packages.places import MARKER
from runner.packages.recovery import recover
from runner.packages.registry import Registry
from runner.packages.tree import Look, differences
from tests.doubles.packages import PackageDraft, perform, skeleton

ROOT = Path(__file__).parents[3]
VERSIONS = ("1.0", "1.1", "1.2")
CALLS = (
    "openat", "mkdir", "rename", "unlink", "unlinkat", "rmdir", "write", "pwrite64", "fsync", "fdatasync", "chmod",
    "fchmodat", "ftruncate", "symlink", "getdents64", "flock", "fcntl",
)  # fmt: skip
FAULTS = ("signal=KILL", "error=ENOSPC", "error=EIO")
# Refusals that one operation may meet because another was faster.
EXPECTED = {"2006", "2007", "2009", "2011"}


def zips(folder: Path) -> dict[str, Path]:
    return {version: PackageDraft(version=version).written(folder) for version in VERSIONS}


def program(home: Path, operation: str, subject: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.doubles.packages", str(home), operation, subject)


def surroundings() -> dict[str, str]:
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return own | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def state(registry: Registry) -> tuple[frozenset[str], frozenset[str]]:
    active = frozenset(f"{one.pid} {one} {one.previous}" for one in registry.active())
    return frozenset(map(str, registry.installed())), active


def assert_consistent(home: Path) -> tuple[frozenset[str], frozenset[str]]:
    """After tidying up: rows and folders are the same versions, whole; nothing else lies about. What there is."""
    registry = Registry(skeleton(home)._places)
    with lock.held(registry.places.lock, 60.0):
        recover(registry)
    installed = registry.installed()
    folders = {registry.folder(one) for one in installed}
    assert folders == set(registry.places.installed_folders())
    for one in installed:
        assert (registry.folder(one) / MARKER).exists()
        assert differences(registry.folder(one), one.tree_sha256, Look.THOROUGH) == ()
    for active in registry.active():
        assert {str(active), *active.previous} <= {str(one) for one in installed}
    assert [*registry.places.staging.glob("*"), *registry.places.trash.glob("*")] == []
    assert len(list(registry.places.wheels.glob("*"))) == (1 if installed else 0)
    assert first_break(registry.ledger.deeds()) == 0
    return state(registry)


def operations(chance: random.Random, packages: dict[str, Path]) -> list[tuple[str, str]]:
    found = []
    for _ in range(6):
        version = chance.choice(VERSIONS)
        operation = chance.choice(["install", "install", "activate", "activate", "rollback", "uninstall"])
        found.append((operation, str(packages[version]) if operation == "install" else f"demo@{version}"))
    return found


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_whatever_is_done_at_the_same_time_the_station_is_consistent(tmp_path: Path, count: int) -> None:
    packages, seen = zips(tmp_path), Counter[str]()
    for seed in range(count):
        home, chance = tmp_path / f"home{seed}", random.Random(seed)
        perform(home, "install", str(packages["1.0"]))
        todo = operations(chance, packages)

        def run(one: tuple[str, str], home: Path = home) -> None:
            try:
                perform(home, *one)
                seen[one[0]] += 1
            except ProcVisionError as error:
                seen[error.code] += 1

        threads = [threading.Thread(target=run, args=(one,)) for one in todo[1:]]
        for thread in threads:
            thread.start()
        # One of them in a process of its own: locks and transactions hold across both.
        done = subprocess.run(
            program(home, *todo[0]), cwd=ROOT, env=surroundings(), capture_output=True, text=True, check=False
        )
        for thread in threads:
            thread.join()
        assert done.returncode == 0 and done.stdout.startswith(("done", "refused 20")), done.stderr
        assert_consistent(home)
        shutil.rmtree(home, ignore_errors=True)
    assert seen["install"] and seen["activate"] and {key for key in seen if key.isdigit()} <= EXPECTED, seen


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th time that an operation makes a call on a file of the station."""

    operation: str
    call: str
    number: int


OPERATIONS = {"install": "1.2", "activate": "demo@1.0", "rollback": "", "uninstall": "demo@1.0"}


def prepared(folder: Path) -> tuple[Path, dict[str, str]]:
    """A station with 1.0 and 1.1 installed, and what each operation is done to."""
    packages, home = zips(folder / "in"), folder / "origin"
    for version in VERSIONS[:2]:
        perform(home, "install", str(packages[version]))
    return home, {**OPERATIONS, "install": str(packages["1.2"])}


def started(origin: Path, home: Path, operation: str) -> None:
    """A copy of the station in which the operation changes something."""
    shutil.copytree(origin, home, symlinks=True)
    if operation == "rollback":
        perform(home, "activate", "demo@1.0")
        perform(home, "activate", "demo@1.1")


def points(origin: Path, folder: Path, subjects: dict[str, str]) -> list[Point]:
    """Every call that every operation makes on the station's files, as strace counts them."""
    found = []
    for operation, subject in subjects.items():
        home, log = folder / operation, folder / f"{operation}.strace"
        started(origin, home, operation)
        options = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={','.join(CALLS)}"]
        command = [*options, *program(home, operation, subject)]
        subprocess.run(command, cwd=ROOT, env=surroundings(), capture_output=True, check=True)
        counts = Counter[str]()
        for line in log.read_text("utf-8", "replace").splitlines():
            call = re.match(r"\d+ +(\w+)\(", line)
            if call is None:
                continue
            counts[call[1]] += 1
            if str(home) in line:
                found.append(Point(operation, call[1], counts[call[1]]))
    return found


@pytest.mark.timeout(7200)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("sample", [16, pytest.param(0, marks=pytest.mark.slow)])
def test_ended_or_failed_at_any_call_it_is_the_old_state_or_the_new_one_and_works_again(
    tmp_path: Path, sample: int
) -> None:
    origin, subjects = prepared(tmp_path)
    every = [(point, fault) for point in points(origin, tmp_path, subjects) for fault in FAULTS]
    assert len(every) > 300
    for number, (point, fault) in enumerate(random.Random(1).sample(every, sample) if sample else every):
        home = tmp_path / f"home{number}"
        started(origin, home, point.operation)
        old = state(skeleton(home)._registry)
        injection = f"inject={point.call}:{fault}:when={point.number}"
        options = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={point.call}", "-e", injection]
        command = [*options, *program(home, point.operation, subjects[point.operation])]
        done = subprocess.run(command, cwd=ROOT, env=surroundings(), capture_output=True, text=True, check=False)
        told = f"{point} {fault}: {done.stdout} {done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr, told
        now = assert_consistent(home)
        if now == old:
            assert not done.stdout.startswith("done"), told
            perform(home, point.operation, subjects[point.operation])
            now = assert_consistent(home)
        assert now != old and (point.operation != "install" or "demo@1.2" in now[0]), told
        shutil.rmtree(home, ignore_errors=True)
