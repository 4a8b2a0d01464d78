"""Faults of the runner's own: told and survived, never a wait for nothing (spec.md §7, §12)."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import logs
from runner.background import begin
from runner.config import LogConfig
from runner.workers import process
from runner.workers.lifecycle import State
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.supervisor import Supervisor

LIMIT_S = 60.0
ANOTHER_TRY_S = 3600.0


class BrokenRunnerError(Exception):
    """A mistake in our own code."""


async def broken() -> None:
    await asyncio.sleep(0)
    raise BrokenRunnerError("a mistake")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """runner.log, as a running station writes it."""
    asked = [logging.getLogger("procvision"), logging.getLogger("asyncio")]
    before = [(one, one.level, one.propagate) for one in asked]
    raising = logging.raiseExceptions
    logs.configure(LogConfig(), tmp_path)
    yield tmp_path / "runner.log"
    logs.close()
    logging.raiseExceptions = raising
    for one, level, propagate in before:
        one.setLevel(level)
        one.propagate = propagate


def told(log: Path) -> list[tuple[str, bool]]:
    """Level of each record, and whether it holds the trace of the mistake."""
    records = [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.exists() else []
    return [(one["level"], "BrokenRunnerError: a mistake" in one.get("traceback", "")) for one in records]


def test_work_that_nobody_waits_for_tells_of_the_fault_that_ended_it(log: Path) -> None:
    async def run() -> list[tuple[str, bool]]:
        kept = begin(broken())
        await asyncio.wait({kept})
        await asyncio.sleep(0)
        return told(log)  # while the task is held: asyncio tells only of one that is thrown away

    assert asyncio.run(run()) == [("error", True)]


def test_work_that_ends_or_is_ended_tells_nothing(log: Path) -> None:
    async def run() -> None:
        ended, cancelled = begin(asyncio.sleep(0)), begin(asyncio.sleep(LIMIT_S))
        await ended
        cancelled.cancel()
        await asyncio.wait({cancelled})

    asyncio.run(run())
    assert not log.exists()


def test_a_fault_in_what_the_event_loop_calls_back_is_in_the_log(log: Path) -> None:
    async def run() -> None:
        def mistaken() -> None:
            raise BrokenRunnerError("a mistake")

        asyncio.get_running_loop().call_soon(mistaken)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert told(log) == [("error", True)]


def test_a_start_that_fails_by_a_fault_of_ours_is_ended_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(_os_pid: int) -> None:
        raise BrokenRunnerError("a mistake")

    monkeypatch.setattr(process, "_keep_standing", mistaken)
    seen: list[tuple[State, str]] = []

    async def run() -> Supervisor:
        waits = asyncio.Event()

        def changed(_worker: object, state: State, why: str) -> None:
            seen.append((state, why))
            if state is State.BACKOFF:
                waits.set()

        command = (sys.executable, "-c", f"import time; time.sleep({ANOTHER_TRY_S})")
        plan = WorkerPlan("detector", tmp_path, command, {}, tmp_path / "scratch", boot_s=LIMIT_S, teardown_s=1.0)
        reporting = Reporting(
            lambda: 1, print, lambda: ANOTHER_TRY_S, lambda *_: "", print, lambda *_: None, changed, print
        )
        one = Supervisor(plan, 0, reporting)
        one.start()
        async with asyncio.timeout(LIMIT_S):
            await waits.wait()
            await one.stop()
        return one

    stopped = asyncio.run(run())
    assert [state for state, _ in seen] == [State.STARTING, State.ABORTING, State.BACKOFF, State.STOPPED]
    assert stopped.boot_failure is not None
    assert (stopped.boot_failure.code, stopped.boot_failure.message) == ("1014", "BrokenRunnerError: a mistake")
    assert "mistaken" in stopped.boot_failure.traceback
