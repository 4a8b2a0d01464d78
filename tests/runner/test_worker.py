"""The runner's end of one real process: its first words may come before its start has returned (spec.md §4.10)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from procvision_sdk.wire.messages import RunnerHello
from runner.workers.launch import LaunchPlan, ProcessLimits, command, environment
from runner.workers.process import ExitReason, WorkerProcess
from runner.workers.worker import Worker, WorkerId

LIMIT_S = 60.0
PROJECT = Path(__file__).parents[1] / "algorithms" / "daemon" / "steady"


def plan(tmp_path: Path) -> LaunchPlan:
    own = {"PROC_TEST_FOLDER": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    scratch = tmp_path / "scratch"
    return LaunchPlan(
        command(Path(sys.executable), isolated=False, limits=ProcessLimits(memory_mb=2048)),
        PROJECT,
        environment(own, scratch, PROJECT),
        scratch,
    )


def test_a_hello_that_comes_before_the_start_has_returned_is_answered(tmp_path: Path) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        worker = Worker(WorkerId("steady", 0, 1), lambda _data: None, lambda _reason: ended.set(), print)
        start = loop.subprocess_exec

        def slow_start(*arguments: Any, **options: Any) -> Coroutine[Any, Any, Any]:
            async def until_hello() -> Any:
                started = await start(*arguments, **options)
                while worker.hello is None:  # noqa: ASYNC110 - nothing but its attribute tells
                    await asyncio.sleep(0.01)
                return started

            return until_hello()

        loop.subprocess_exec = slow_start  # type: ignore[method-assign]
        async with asyncio.timeout(LIMIT_S):
            ready = await worker.boot(plan(tmp_path), RunnerHello())
            assert ready.setup_ms >= 0
            worker.ask_to_stop()
            await ended.wait()

    asyncio.run(story())


@pytest.mark.fault("B23")
def test_a_process_is_started_by_the_main_thread_or_not_at_all(tmp_path: Path) -> None:
    async def start() -> None:
        await WorkerProcess(plan(tmp_path), SilentListener()).start()

    with ThreadPoolExecutor(1, "elsewhere") as other:
        started = other.submit(asyncio.run, start())
        with pytest.raises(RuntimeError, match=r"by the main thread, not by elsewhere_0"):
            started.result(LIMIT_S)


class SilentListener:
    """Nobody is told anything: there is no process."""

    def on_body(self, body: bytes) -> None: ...
    def on_bad_frame(self, reason: str) -> None: ...
    def on_log(self, data: bytes) -> None: ...
    def on_exit(self, reason: ExitReason) -> None: ...
