"""The hard end of a worker: the stack of a hang, then SIGKILL; and whom not even SIGKILL ends (spec.md §7.3).

A process in an uninterruptible wait of the kernel ends when that is over. Nobody waits for it: it is given up after a
limit, and what it holds, its slots above all, stays held until it is gone (spec.md §7.26).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.background import begin
from runner.workers.worker import Worker

# spec.md §7.3: how long the stack of a hang is waited for before the kill; and before the answer, as a share of the
# time that is kept back for it, of which the store has half.
STACK_S = 0.2
STACK_SHARE = 0.4


class Ending:
    """Of the workers of one seat. `given_up` is told of each one that did not end within `limit_s` of its kill."""

    def __init__(self, limit_s: float, given_up: Callable[[Worker], None]) -> None:
        self.outliving: set[Worker] = set()
        self.abandoned = 0
        self._limit_s, self._given_up = limit_s, given_up
        self._timers: dict[Worker, asyncio.TimerHandle] = {}
        self._stack: asyncio.Task[str] | None = None

    def kill(self, worker: Worker) -> None:
        """SIGKILL to its process group, now."""
        worker.kill()
        if worker not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[worker] = loop.call_later(self._limit_s, self._give_up, worker)

    def kill_with_stack(self, worker: Worker) -> None:
        """SIGKILL after its stack has been taken, at most STACK_S later."""
        self._stack = begin(self._take_stack(worker))

    async def stack(self, margin_s: float) -> str:
        """The stack of the hang that is being ended when it comes within its share of what is left for the answer."""
        if self._stack is None:
            return ""
        done, _ = await asyncio.wait({self._stack}, timeout=margin_s * STACK_SHARE)
        return done.pop().result() if done else ""

    def ended(self, worker: Worker) -> bool:
        """It has been reaped; whether it had been given up before."""
        timer = self._timers.pop(worker, None)
        if timer is not None:
            timer.cancel()
        given_up = worker in self.outliving
        self.outliving.discard(worker)
        return given_up

    async def _take_stack(self, worker: Worker) -> str:
        stack = await worker.take_stack(STACK_S)
        if worker.exit is None:
            self.kill(worker)
        return stack

    def _give_up(self, worker: Worker) -> None:
        del self._timers[worker]
        self.outliving.add(worker)
        self.abandoned += 1
        self._given_up(worker)
