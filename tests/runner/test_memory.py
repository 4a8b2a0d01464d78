"""Each worker's own memory, threads and descriptors are read, and judged beside its calls (spec.md §7.20)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runner.workers import memory
from runner.workers.lifecycle import State
from runner.workers.memory import (
    MAX_NEW_DESCRIPTORS,
    MAX_NEW_FILES,
    MAX_NEW_THREADS,
    MemoryWatch,
    Usage,
    Verdict,
    judge,
)
from runner.workers.worker import WorkerId

MIB = 1024 * 1024
LIMIT = 200 * MIB
SMALL = Usage(50 * MIB, threads=4, descriptors=10)

# Takes what it is told to, a line each: memory it writes to, memory it shares, memory it only reserves, threads, files.
TAKER = """
import mmap, os, sys, threading
taken, held = [], threading.Event()
for line in sys.stdin:
    what, amount = line.split()
    if what == "write":
        taken.append(b"x" * int(amount))
    elif what == "share":
        taken.append(mmap.mmap(-1, int(amount)))
        taken[-1].write(b"x" * int(amount))
    elif what == "reserve":
        taken.append(mmap.mmap(-1, int(amount), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    elif what == "threads":
        for _ in range(int(amount)):
            threading.Thread(target=held.wait, daemon=True).start()
    elif what == "files":
        taken += [os.dup(0) for _ in range(int(amount))]
    print("taken", flush=True)
os._exit(0)
"""


@dataclass
class Seat:
    """A worker as the watch sees it: a real process, and what was asked for."""

    process: subprocess.Popen[str]
    identity: WorkerId
    state: State = State.READY
    asked: list[str] = field(default_factory=list)
    folder: Path = Path("no such folder")

    @property
    def os_pid(self) -> int:
        return self.process.pid if self.process.returncode is None else -1

    @property
    def scratch(self) -> Path:
        return self.folder

    def recycle_when_idle(self, why: str) -> None:
        self.asked.append(f"recycle {why}")

    def end_for_memory(self, why: str) -> None:
        self.asked.append(f"end {why}")
        self.state = State.ABORTING

    def take(self, what: str, amount: int) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{what} {amount}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "taken\n"

    @property
    def usage(self) -> Usage:
        found = memory.read(self.os_pid)
        assert found is not None
        return found


@contextmanager
def seat(incarnation: int = 1) -> Iterator[Seat]:
    command = (sys.executable, "-c", TAKER)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        taker = Seat(process, WorkerId("deployment", 0, incarnation))
        taker.take("write", 0)
        yield taker


def watching(*seats: Seat) -> MemoryWatch:
    return MemoryWatch({"deployment": LIMIT}, lambda: seats)


def test_written_memory_is_its_own_and_shared_or_untouched_memory_is_not() -> None:
    with seat() as taker:
        before = taker.usage.anonymous_bytes
        taker.take("share", 40 * MIB)
        taker.take("reserve", 40 * MIB)
        assert taker.usage.anonymous_bytes - before < 10 * MIB
        taker.take("write", 40 * MIB)
        assert taker.usage.anonymous_bytes - before > 39 * MIB


def test_threads_and_descriptors_are_counted() -> None:
    with seat() as taker:
        before = taker.usage
        taker.take("threads", 3)
        taker.take("files", 5)
        now = taker.usage
        assert (now.threads - before.threads, now.descriptors - before.descriptors) == (3, 5)


def test_a_process_that_is_gone_or_a_zombie_has_no_usage() -> None:
    with seat() as taker:
        process = taker.process
        process.kill()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(process, "poll", lambda: None)
            while memory.read(process.pid) is not None:
                continue
    assert memory.read(process.pid) is None
    assert memory.read(-1) is None
    assert memory.read(0) is None


def test_elsewhere_than_on_linux_psutil_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with seat() as taker:
        here = taker.usage
        monkeypatch.setattr(sys, "platform", "darwin")
        there = taker.usage
        assert (there.threads, there.descriptors) == (here.threads, here.descriptors)
        assert there.anonymous_bytes >= here.anonymous_bytes
    assert memory.read(taker.process.pid) is None


@pytest.mark.parametrize(
    ("first", "now", "verdict", "why"),
    [
        (SMALL, SMALL, Verdict.KEEP, ""),
        (SMALL, Usage(LIMIT, 4, 10), Verdict.KEEP, ""),
        (SMALL, Usage(LIMIT + 1, 4, 10), Verdict.RECYCLE, "memory: 200 MiB of its own, limit 200 MiB"),
        (SMALL, Usage(LIMIT * 5 // 4, 4, 10), Verdict.RECYCLE, "memory: 250 MiB"),
        (SMALL, Usage(LIMIT * 5 // 4 + 1, 4, 10), Verdict.END, "ended at 1.25 times that"),
        (Usage(LIMIT + 1, 4, 10), Usage(LIMIT + 2, 4, 10), Verdict.KEEP, ""),
        (Usage(LIMIT + 1, 4, 10), Usage(LIMIT * 2, 4, 10), Verdict.END, "ended at"),
        (Usage(LIMIT * 2, 4, 10), Usage(LIMIT * 2, 4, 10), Verdict.END, "ended at"),
        (SMALL, Usage(50 * MIB, 4 + MAX_NEW_THREADS, 10), Verdict.KEEP, ""),
        (SMALL, Usage(50 * MIB, 5 + MAX_NEW_THREADS, 10), Verdict.RECYCLE, "threads: 261, 4 after setup"),
        (SMALL, Usage(50 * MIB, 4, 10 + MAX_NEW_DESCRIPTORS), Verdict.KEEP, ""),
        (SMALL, Usage(50 * MIB, 4, 11 + MAX_NEW_DESCRIPTORS), Verdict.RECYCLE, "descriptors: 523, 10 after setup"),
        (SMALL, Usage(50 * MIB, 4, 10, MAX_NEW_FILES), Verdict.KEEP, ""),
        (SMALL, Usage(50 * MIB, 4, 10, MAX_NEW_FILES + 1), Verdict.RECYCLE, "temporary files: 1001, 0 after setup"),
    ],
)
def test_what_a_worker_takes_decides_what_becomes_of_it(first: Usage, now: Usage, verdict: Verdict, why: str) -> None:
    found, told = judge(LIMIT, first, now)
    assert found is verdict
    assert why in told and bool(told) == bool(why)


def test_a_worker_that_grows_is_recycled_once_and_ended_when_it_goes_on() -> None:
    with seat() as taker:
        watch = watching(taker)
        watch.look()
        assert taker.asked == []
        taker.state = State.BUSY
        taker.take("write", LIMIT)
        watch.look()
        watch.look()
        (asked,) = taker.asked
        assert asked.startswith("recycle memory: ")
        taker.take("write", LIMIT // 4)
        watch.look()
        watch.look()
        assert [word.split()[0] for word in taker.asked] == ["recycle", "end"]
        assert (watch.recycled, watch.ended) == (1, 1)


@pytest.mark.parametrize("state", [one for one in State if one not in (State.READY, State.BUSY)])
def test_only_a_worker_that_serves_is_judged(state: State) -> None:
    with seat() as taker:
        taker.take("write", LIMIT * 2)
        taker.state = state
        watching(taker).look()
        assert taker.asked == []


def test_a_model_above_the_limit_is_told_once_and_not_recycled_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    with seat() as taker:
        taker.take("write", LIMIT)
        watch = watching(taker)
        for _ in range(3):
            watch.look()
        assert taker.asked == []
    (told,) = [record.getMessage() for record in caplog.records]
    assert "more than its memory_mb of 200: raise it in the manifest" in told


def test_each_incarnation_is_judged_by_its_own_beginning() -> None:
    with seat() as first, seat(incarnation=2) as second:
        seats = [first]
        watch = MemoryWatch({"deployment": LIMIT}, lambda: seats)
        first.take("write", LIMIT)
        watch.look()
        seats[:] = [second]
        watch.look()
        second.take("write", LIMIT)
        watch.look()
        assert (first.asked, len(second.asked), watch.recycled) == ([], 1, 1)
        seats.clear()
        watch.look()
        assert vars(watch)["_first"] == {} and vars(watch)["_judged"] == set()


def test_a_worker_whose_process_is_gone_is_left_to_its_supervisor() -> None:
    with seat() as taker:
        taker.process.kill()
        taker.process.wait()
        watching(taker).look()
        assert taker.asked == []


def test_the_files_of_a_folder_are_counted_and_a_folder_that_is_gone_has_none(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").touch()
    assert memory.files_in(tmp_path) == 2
    assert memory.files_in(tmp_path / "three") == 0
