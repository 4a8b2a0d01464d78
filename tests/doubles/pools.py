"""A pool whose workers are put into the states a test wants; none is ever started."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from runner.workers.budget import RestartBudget
from runner.workers.lifecycle import State
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.pool import WorkerPool
from runner.workers.supervisor import Supervisor

NEVER_S = 3600.0
PLAN = WorkerPlan("detector", Path(), (), {}, Path(), boot_s=1.0, teardown_s=1.0)


def supervisor(state: State) -> Supervisor:
    """A supervisor in this state; it is never started."""
    made = Supervisor(PLAN, 0, Reporting(int, print, float, lambda *_: "", print, print, print, print))
    put(made, state)
    return made


def put(one: Supervisor, state: State) -> None:
    one.life = replace(one.life, state=state)


def pool_of(*states: State, max_waiting: int = 64, replicas: int | None = None) -> WorkerPool:
    """All of them serve, unless `replicas` says how many."""
    replicas = max(1, len(states)) if replicas is None else replicas
    pool = WorkerPool("detector", max_waiting, RestartBudget(), replicas=replicas)
    pool.supervisors += [supervisor(state) for state in states]
    return pool


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


def ready(pool: WorkerPool, one: Supervisor) -> None:
    put(one, State.READY)
    pool.dispatch()


async def take(pool: WorkerPool, patience_s: float = NEVER_S) -> Supervisor:
    """What a request does with a worker: a call, before it awaits anything."""
    one = await pool.acquire(patience_s)
    put(one, State.BUSY)
    return one


async def waiting(pool: WorkerPool, count: int) -> list[asyncio.Task[Supervisor]]:
    tasks = [asyncio.create_task(take(pool)) for _ in range(count)]
    await settle()
    return tasks


def served(tasks: list[asyncio.Task[Supervisor]]) -> list[bool]:
    return [task.done() and not task.cancelled() and task.exception() is None for task in tasks]


async def drop(tasks: list[asyncio.Task[Supervisor]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
