"""A pool with a standby: one serves, the other one takes over by being ready (spec.md §7.8)."""

from __future__ import annotations

import asyncio

from runner.workers.lifecycle import State
from tests.doubles.pools import pool_of, put, settle, take


def test_a_standby_serves_only_when_the_serving_worker_does_not() -> None:
    async def story() -> None:
        pool = pool_of(State.READY, State.READY, replicas=1)
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
        pool = pool_of(State.ABORTING, State.READY, replicas=1)
        standby = await take(pool)
        put(pool.supervisors[0], State.READY)
        put(standby, State.READY)
        assert await take(pool) is standby

    asyncio.run(story())


def test_incarnations_are_counted_over_all_replicas() -> None:
    pool = pool_of(State.READY, State.READY, replicas=1)
    assert [pool.next_number(), pool.next_number()] == [1, 2]
