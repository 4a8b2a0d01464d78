"""Pings judge idle workers, and idle workers only: a busy one is judged by its deadline (spec.md §7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from runner.clock import monotonic_s
from runner.workers.limit import LAG_S
from runner.workers.plan import WorkerPlan
from runner.workers.worker import OutOfTurnError, Worker, WorkerGoneError


async def judge_idle(
    plan: WorkerPlan, idle_worker: Callable[[], Worker | None], distrust: Callable[[str], None]
) -> None:
    """Ping while there is an idle worker; `distrust` it after so many misses in a row. Ends when it is cancelled.

    A missed ping wakes a process that something has stopped. A runner that was away itself suspects nobody.
    """
    interval_s, grace_s = plan.hello.heartbeat_interval_ms / 1000, plan.hello.heartbeat_grace_ms / 1000
    missed = 0
    while True:
        asleep_at_s = monotonic_s()
        await asyncio.sleep(interval_s)
        we_were_away = monotonic_s() - asleep_at_s > interval_s + LAG_S
        worker = idle_worker()
        if worker is None or we_were_away:
            missed = 0
            continue
        asked_at_s = monotonic_s()
        try:
            async with asyncio.timeout(grace_s):
                await worker.ping()
            missed = 0
        except TimeoutError:
            we_were_away = monotonic_s() - asked_at_s > grace_s + LAG_S
            missed = missed + 1 if idle_worker() is worker and not we_were_away else 0
            worker.wake()
        except (WorkerGoneError, OutOfTurnError):
            missed = 0
        if missed >= plan.heartbeat_misses:
            missed = 0
            distrust(f"{plan.heartbeat_misses} pings unanswered while idle")
