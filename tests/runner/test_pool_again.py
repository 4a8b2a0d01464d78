"""Who had a worker or was promised one, and waits again (spec.md §7.5, docs/decisions/0038)."""

from __future__ import annotations

import asyncio

from runner.workers.lifecycle import State
from tests.doubles.pools import NEVER_S, drop, pool_of, put, ready, served, settle, take, waiting


def test_a_worker_that_died_on_its_way_to_a_request_is_waited_for_again() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        (first,) = await waiting(pool, 1)
        ready(pool, worker)
        put(worker, State.BACKOFF)
        await settle()
        assert not first.done()
        assert pool.waiting == 1
        ready(pool, worker)
        await settle()
        assert first.result() is worker

    asyncio.run(run())


def test_who_lost_a_worker_on_its_way_is_served_before_those_who_came_later_however_many_they_are() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, max_waiting=3)
        (worker,) = pool.supervisors
        tasks = await waiting(pool, 3)
        tasks.append(asyncio.create_task(take(pool)))
        ready(pool, worker)
        put(worker, State.BACKOFF)  # and before the first hears of it, the last one takes the last place
        await settle()
        assert served(tasks) == [False] * 4
        assert pool.waiting == 4
        ready(pool, worker)
        await settle()
        assert served(tasks) == [True, False, False, False]
        await drop(tasks[1:])

    asyncio.run(run())


def test_what_was_admitted_before_is_not_refused_for_the_length_of_the_queue_and_goes_to_its_end() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, max_waiting=1)
        (worker,) = pool.supervisors
        tasks = await waiting(pool, 1)
        tasks.append(asyncio.create_task(pool.acquire(NEVER_S, again=True)))
        await settle()
        assert pool.waiting == 2
        for expected in ([True, False], [True, True]):
            ready(pool, worker)
            await settle()
            assert served(tasks) == expected

    asyncio.run(run())
