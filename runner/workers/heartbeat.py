"""Pings judge idle workers, and idle workers only: a busy one is judged by its deadline (spec.md §7.2).

A busy one is pinged too, but only to learn how long it kept the interpreter to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from procvision_sdk.wire.calls import Result
from runner.clock import monotonic_s
from runner.workers.limit import LAG_S
from runner.workers.plan import WorkerPlan
from runner.workers.worker import OutOfTurnError, Worker, WorkerGoneError


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is pinged now, and whether it is idle; whom to tell of too many misses, and of a process that was stopped."""

    pinged: Callable[[], tuple[Worker, bool] | None]
    distrust: Callable[[Worker, str], None]
    woken: Callable[[Worker], None]


async def beat(plan: WorkerPlan, heard: Heard) -> None:
    """Ping while there is a worker that serves; distrust an idle one after so many misses in a row. Until cancelled.

    A missed ping of an idle worker wakes a process that something has stopped. A runner that was away itself suspects
    nobody.
    """
    interval_s, grace_s = plan.hello.heartbeat_interval_ms / 1000, plan.hello.heartbeat_grace_ms / 1000
    missed = 0
    while True:
        asleep_at_s = monotonic_s()
        await asyncio.sleep(interval_s)
        we_were_away = monotonic_s() - asleep_at_s > interval_s + LAG_S
        pinged = heard.pinged()
        if pinged is None or we_were_away:
            missed = 0
            continue
        asked_at_s = monotonic_s()
        worker, idle = pinged
        if idle:
            answered = await _answers(worker, grace_s)
        else:
            answered = True
            worker.ask_for_pong()
        we_were_away = monotonic_s() - asked_at_s > grace_s + LAG_S
        missed = 0 if answered or we_were_away or heard.pinged() != pinged else missed + 1
        if not answered and idle and worker.wake():
            heard.woken(worker)
        if missed >= plan.heartbeat_misses:
            missed = 0
            heard.distrust(worker, f"{plan.heartbeat_misses} pings unanswered while idle")


async def _answers(worker: Worker, grace_s: float) -> bool:
    try:
        async with asyncio.timeout(grace_s):
            await worker.ping()
    except TimeoutError:
        return False
    except (WorkerGoneError, OutOfTurnError):
        return True  # its end is told by the worker itself
    return True


def with_stall(result: Result, silence_ms: float) -> Result:
    """A result whose worker answered no ping for longer than the grace: native code kept the interpreter."""
    return msgspec.structs.replace(result, diagnostics={**result.diagnostics, "gil_stall_ms": round(silence_ms, 1)})
