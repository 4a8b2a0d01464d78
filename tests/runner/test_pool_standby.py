"""A pool with a standby: one serves, the other one takes over by being ready (spec.md §7.8)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from runner.workers.budget import RestartBudget
from runner.workers.lifecycle import State
from runner.workers.plan import Reporting, WorkerPlan
from runner.workers.pool import WorkerPool
from runner.workers.supervisor import Supervisor

PLAN = WorkerPlan("detector", Path(), (), {}, Path(), boot_s=1.0, teardown_s=1.0)


def put(one: Supervisor, state: State) -> None:
    one.life = replace(one.life, state=state)


def pool_of(*states: State) -> WorkerPool:
    pool = WorkerPool("detector", 64, RestartBudget())
    for state in states:
        pool.supervisors.append(
            Supervisor(PLAN, 0, Reporting(int, print, float, lambda *_: "", print, print, print, print))
        )
        put(pool.supervisors[-1], state)
    return pool


async def take(pool: WorkerPool) -> Supervisor:
    one = await pool.acquire(3600.0)
    put(one, State.BUSY)
    return one


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_standby_serves_only_when_the_serving_worker_does_not() -> None:
    async def story() -> None:
        pool = pool_of(State.READY, State.READY)
        first = await take(pool)
        second = asyncio.create_task(take(pool))
        await settle()
        assert not second.done(), "one replica serves one call at a time"
        put(first, State.ABORTING)
        pool.dispatch()
        await settle()
        assert second.done() and (await second) is not first

    asyncio.run(story())


def test_the_worker_that_served_last_is_preferred() -> None:
    async def story() -> None:
        pool = pool_of(State.ABORTING, State.READY)
        standby = await take(pool)
        put(pool.supervisors[0], State.READY)
        put(standby, State.READY)
        assert await take(pool) is standby

    asyncio.run(story())


def test_incarnations_are_counted_over_all_replicas() -> None:
    pool = pool_of(State.READY, State.READY)
    assert [pool.next_number(), pool.next_number()] == [1, 2]
