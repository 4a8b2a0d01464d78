"""Work that nobody waits for: a fault of ours that ends it is told in the log, and never lost with the task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from runner.logs import runner_log

T = TypeVar("T")


def begin(work: Coroutine[object, object, T]) -> asyncio.Task[T]:
    """A task of it; the caller keeps it, as the loop does not."""
    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(_tell)
    return task


def _tell(task: asyncio.Task[object]) -> None:
    if not task.cancelled() and (fault := task.exception()) is not None:
        runner_log.error("%s ended by a fault of the runner's own", task.get_coro(), exc_info=fault)
