"""Shared memory that a worker left goes, and nobody else's does (spec.md §7.25)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.workers import shared_names
from runner.workers.shared_names import SharedNames
from runner.workers.worker import WorkerId

WORKER = WorkerId("detector", 0, 1)
OPENER = "import sys; held = open(sys.argv[1], 'a+b'); print(flush=True); sys.stdin.read()"
MAPPER = (
    "import mmap, sys\nwith open(sys.argv[1], 'r+b') as file: held = mmap.mmap(file.fileno(), 0)\n"
    "print(flush=True); sys.stdin.read()"
)


@pytest.fixture
def path() -> Iterator[Path]:
    found = shared_names.FOLDER / f"pvtest-{os.getpid()}"
    yield found
    found.unlink(missing_ok=True)


@contextmanager
def program(text: str, path: Path) -> Iterator[int]:
    """A process that has done what it is to do with the path, until the block ends."""
    command = (sys.executable, "-c", text, str(path))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"\n"
        yield process.pid
        process.kill()


def test_what_a_worker_made_goes_after_it(path: Path) -> None:
    seen = SharedNames()
    with program(OPENER, path) as worker:
        assert seen.look({WORKER: worker}) == []
    assert seen.look({}) == [path.name]
    assert not path.exists() and seen.removed == 1
    assert seen.look({}) == []


def test_what_was_there_before_it_stays(path: Path) -> None:
    path.touch()
    seen = SharedNames()
    with program(OPENER, path) as worker:
        seen.look({WORKER: worker})
    assert seen.look({}) == [] and path.exists()


def test_what_it_never_opened_stays(path: Path) -> None:
    seen = SharedNames()
    with program("import sys; print(flush=True); sys.stdin.read()", path) as worker:
        path.touch()
        seen.look({WORKER: worker})
    assert seen.look({}) == [] and path.exists()


@pytest.mark.parametrize("text", [OPENER, MAPPER], ids=["open", "mapped"])
def test_what_another_process_uses_stays_until_that_one_is_gone_too(path: Path, text: str) -> None:
    seen = SharedNames()
    with program(OPENER, path) as worker:
        path.write_bytes(b"x" * 4096)
        with program(text, path):
            seen.look({WORKER: worker})
            os.kill(worker, 9)
            assert seen.look({}) == [] and path.exists()
        assert seen.look({}) == [path.name]


def test_a_platform_without_the_folder_has_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_names, "FOLDER", tmp_path / "none")
    assert shared_names.names() == frozenset()
    assert SharedNames().look({WORKER: os.getpid()}) == []
