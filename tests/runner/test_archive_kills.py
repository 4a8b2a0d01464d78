"""What was told to be kept is there, whatever ended the writer or broke under it (reliability: kill, error, damage).

Real processes: killed at random points, and failed at their file-system calls by strace where it is installed.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.results.archive import Archive
from runner.results.reading import Reader
from tests.doubles.result_rows import accepted, answer_to, answered, plan_of, restarted, writing, written

ROOT = Path(__file__).parents[2]
SEED = 20260101
# The calls by which SQLite changes a file, and those by which it reaches one.
# Each of the first, then samples: a fault that was not met ends a sweep early.
POINTS = (*range(1, 25), 30, 40, 50, 59)
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "openat", "unlink", "fcntl", "pread64")


@contextmanager
def a_writer(path: Path, life: int, count: int, *before: str) -> Iterator[subprocess.Popen[str]]:
    command = [*before, sys.executable, "-m", "tests.doubles.writing_results", str(path), str(life), str(count)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process


def acknowledged(lines: list[str]) -> list[str]:
    """The ids of whole lines that say kept."""
    return [line.split()[1] for line in lines if line.startswith("kept ") and line.endswith("\n")]


def assert_kept(path: Path, ids: list[str]) -> None:
    """Each is in the file, with the answer it had."""
    reader = Reader(path)
    try:
        for request_id in ids:
            kept = reader.find(("host", request_id))
            assert kept is not None and kept.answer == answer_to(request_id), request_id
    finally:
        reader.close()


def kill_a_writer(path: Path, life: int, after: int) -> list[str]:
    """What it acknowledged before it was killed, some time after so many lines."""
    with a_writer(path, life, 50_000) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        lines += process.stdout.readlines()
    return acknowledged(lines)


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_after_a_kill_every_acknowledged_answer_is_there_and_every_accepted_row_has_an_end(
    tmp_path: Path, kills: int
) -> None:
    path, chance = tmp_path / "store" / "results.sqlite", random.Random(SEED)
    told: list[str] = []
    for life in range(1, kills + 1):
        told += kill_a_writer(path, life, chance.randint(1, 150))
        archive = Archive(path, f"after-{life}")
        archive.close_open_rows(restarted)
        archive.close()
        assert_kept(path, told)
    rows = written(path)
    assert len(told) >= kills
    assert all(row.status for row in rows)
    assert sum(row.error_code == "3004" for row in rows) >= kills
    assert len({row.request_id for row in rows}) == len(rows)


def _a_store(path: Path, count: int) -> None:
    with writing(plan_of(path)) as (writer, outcomes):
        for number in range(count):
            writer.put(answered(accepted(number)), outcomes.of(str(number)))
        outcomes.wait(count)
    # Some of it in the write-ahead log, as after a kill.
    archive = Archive(path, "killed")
    archive.write([answered(accepted(count))], "FULL")
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{path}{suffix}.copy")
    archive.close()
    for suffix in ("", "-wal"):
        Path(f"{path}{suffix}.copy").replace(f"{path}{suffix}")


@pytest.mark.parametrize("seeds", [30, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_whatever_bytes_change_no_wrong_answer_is_given_and_new_ones_are_kept(tmp_path: Path, seeds: int) -> None:
    origin = tmp_path / "origin" / "results.sqlite"
    _a_store(origin, 60)
    survived = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        path = tmp_path / f"s{seed}" / "results.sqlite"
        shutil.copytree(origin.parent, path.parent)
        _damage(chance, path)
        with writing(plan_of(path)) as (writer, outcomes):
            reader = Reader(path)
            for number in range(61):
                survived += _told_truly(reader, number)
            reader.close()
            writer.put(answered(accepted(1000)), outcomes.of("new"))
            assert outcomes.wait(1) == [("new", True)], (seed, writer.condition)
        assert_kept(path, ["r1000"])
        shutil.rmtree(path.parent)
    assert survived > seeds


def _damage(chance: random.Random, path: Path) -> None:
    match chance.randrange(4):
        case 0:
            Path(f"{path}-wal").write_bytes(Path(f"{path}-wal").read_bytes()[: chance.randrange(20_000)])
        case 1:
            Path(f"{path}-shm").write_bytes(chance.randbytes(32_768))
        case kind:
            target = Path(f"{path}-wal") if kind == 2 else path
            content = bytearray(target.read_bytes())
            start = 0 if chance.random() < 0.3 else chance.randrange(len(content))
            for place in range(start, min(len(content), start + chance.choice([1, 16, 4096]))):
                content[place] = chance.randrange(256)
            target.write_bytes(content)


def _told_truly(reader: Reader, number: int) -> bool:
    """Whether the answer was found; a wrong one fails the test."""
    try:
        kept = reader.find(("host", f"r{number}"))
    except Exception as error:  # noqa: BLE001 - any refusal is right, a wrong answer is not
        assert type(error).__module__.startswith(("sqlite3", "runner"))
        return False
    assert kept is None or kept.answer in (None, answer_to(f"r{number}"))
    return kept is not None


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("fault", ["error=ENOSPC", "error=EIO", "error=EROFS", "signal=KILL"])
@pytest.mark.parametrize("call", CALLS)
def test_at_whatever_file_call_it_fails_or_dies_no_acknowledged_answer_is_lost(
    tmp_path: Path, call: str, fault: str
) -> None:
    points = 0
    for number in POINTS:
        path = tmp_path / str(number) / "results.sqlite"
        path.parent.mkdir()
        lines, met = _under_strace(path, f"inject={call}:{fault}:when={number}")
        if path.exists():
            Archive(path, "after").close()
            assert_kept(path, acknowledged(lines))
        if not met:
            break
        points += 1
        if fault != "signal=KILL":
            assert lines[-1].startswith("kept "), (call, fault, number, lines)
    print(f"{call} {fault}: {points} points", file=sys.stderr)


def _under_strace(path: Path, injection: str) -> tuple[list[str], bool]:
    """What it said, and whether the fault was met."""
    log = path.parent / "strace"
    watched = [word for suffix in ("", "-wal", "-shm", "-journal") for word in ("-P", f"{path}{suffix}")]
    calls = f"trace={injection.removeprefix('inject=').partition(':')[0]}"
    options = ["strace", "-f", "-qq", "-o", str(log), *watched, "-P", str(path.parent), "-e", calls, "-e", injection]
    with a_writer(path, 1, 400, *options) as process:
        said, errors = process.communicate()
    met = "INJECTED" in log.read_text() or process.returncode not in (0, 1)
    assert process.returncode == 0 or "KILL" in injection, errors
    return said.splitlines(keepends=True), met
