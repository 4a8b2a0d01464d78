"""One queue before the workers of a deployment: order, bounds, promises, and no waiting in vain (spec.md §4, §7)."""

from __future__ import annotations

import asyncio

import pytest

from procvision_sdk.errors import ErrorCode, ErrorReport, StationError
from runner.workers.lifecycle import State
from tests.doubles.pools import NEVER_S, drop, pool_of, put, ready, served, settle, take, waiting


def test_a_ready_worker_is_had_at_once_and_without_patience() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, State.READY)
        assert await pool.acquire(0.0) is pool.supervisors[1]
        assert pool.waiting == 0

    asyncio.run(run())


def test_who_came_first_is_served_first() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        tasks = await waiting(pool, 3)
        assert pool.waiting == 3
        for expected in ([True, False, False], [True, True, False], [True, True, True]):
            ready(pool, worker)
            await settle()
            assert served(tasks) == expected
        assert pool.waiting == 0
        ready(pool, worker)
        assert await pool.acquire(0.0) is worker

    asyncio.run(run())


def test_a_promised_worker_is_not_given_to_who_comes_later() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        (first,) = await waiting(pool, 1)
        late = asyncio.create_task(take(pool))
        ready(pool, worker)  # and before the first is awake, the late one asks
        await settle()
        assert served([first, late]) == [True, False]
        assert pool.waiting == 1
        await drop([late])

    asyncio.run(run())


def test_nobody_overtakes_who_waits() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, State.BUSY)
        first, second = pool.supervisors
        tasks = await waiting(pool, 2)
        ready(pool, first)
        put(second, State.READY)  # it is not offered yet
        late = asyncio.create_task(take(pool))
        await settle()
        assert served([*tasks, late]) == [True, False, False]
        pool.dispatch()
        await settle()
        assert served([*tasks, late]) == [True, True, False]
        await drop([late])

    asyncio.run(run())


@pytest.mark.parametrize("promised", [False, True], ids=["waiting", "promised a worker"])
def test_a_cancelled_request_leaves_its_place_and_its_worker_to_the_next(promised: bool) -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        first, second = await waiting(pool, 2)
        if promised:
            ready(pool, worker)
            first.cancel()
        else:
            first.cancel()
            await settle()
            assert pool.waiting == 1
            ready(pool, worker)
        await settle()
        assert (first.cancelled(), second.result()) == (True, worker)
        assert pool.waiting == 0

    asyncio.run(run())


def test_a_promised_worker_that_nobody_wants_any_more_is_idle_again() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        (first,) = await waiting(pool, 1)
        ready(pool, worker)
        first.cancel()
        await settle()
        assert await pool.acquire(0.0) is worker

    asyncio.run(run())


def test_a_promised_worker_that_died_is_given_back_to_nobody() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        first, second, third = await waiting(pool, 3)
        ready(pool, worker)
        first.cancel()
        put(worker, State.BACKOFF)
        await settle()
        ready(pool, worker)
        await settle()
        assert served([first, second, third]) == [False, True, False]
        await drop([third])

    asyncio.run(run())


@pytest.mark.parametrize("patience_s", [0.0, -1.0, 0.001])
def test_patience_that_ends_is_a_timeout_that_tells_how_the_workers_are(patience_s: float) -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, State.STARTING)
        with pytest.raises(StationError, match=r"detector: no worker became free .*they are BUSY, STARTING") as refused:
            await pool.acquire(patience_s)
        assert refused.value.code == ErrorCode.TIMEOUT
        assert pool.waiting == 0

    asyncio.run(run())


def test_a_worker_promised_to_a_request_that_is_cancelled_goes_to_the_next() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        (worker,) = pool.supervisors
        unwanted, patient = await waiting(pool, 2)
        # The worker comes in the turn in which nobody wants the first answer any more.
        ready(pool, worker)
        unwanted.cancel()
        await settle()
        assert unwanted.cancelled()
        assert patient.result() is worker

    asyncio.run(run())


def test_the_queue_is_bounded_and_who_does_not_fit_is_told_at_once() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY, max_waiting=2)
        tasks = await waiting(pool, 2)
        with pytest.raises(StationError, match="detector: 2 inspections wait") as refused:
            await pool.acquire(NEVER_S)
        assert refused.value.code == ErrorCode.BUSY
        assert [task.done() for task in tasks] == [False, False]
        pool.reconsider()
        await settle()
        assert [task.done() for task in tasks] == [False, False]
        await drop(tasks)
        assert pool.waiting == 0

    asyncio.run(run())


@pytest.mark.parametrize("state", [State.FATAL, State.FAILING])
def test_a_deployment_that_cannot_boot_refuses_at_once_and_says_why(state: State) -> None:
    async def run() -> None:
        pool = pool_of(state)
        pool.supervisors[0].boot_failure = ErrorReport("1014", "no module named torch")
        with pytest.raises(StationError, match="detector: no module named torch") as refused:
            await pool.acquire(NEVER_S)
        assert refused.value.code == ErrorCode.CANNOT_BOOT

    asyncio.run(run())


def test_who_waits_is_told_when_the_last_worker_is_found_unable_to_boot() -> None:
    async def run() -> None:
        pool = pool_of(State.STARTING, State.STARTING)
        tasks = await waiting(pool, 2)
        put(pool.supervisors[0], State.FATAL)
        pool.reconsider()
        await settle()
        assert [task.done() for task in tasks] == [False, False]
        put(pool.supervisors[1], State.FAILING)
        pool.reconsider()
        for told in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(told, StationError)
            assert told.code == ErrorCode.CANNOT_BOOT
        assert pool.waiting == 0

    asyncio.run(run())


def test_a_closed_pool_refuses_who_waits_and_who_comes() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        tasks = await waiting(pool, 2)
        pool.close()
        told = await asyncio.gather(*tasks, asyncio.create_task(pool.acquire(NEVER_S)), return_exceptions=True)
        assert [one.code for one in told if isinstance(one, StationError)] == [ErrorCode.DEGRADED] * 3

    asyncio.run(run())


def test_a_request_that_was_cancelled_as_it_was_refused_disturbs_nobody() -> None:
    async def run() -> None:
        pool = pool_of(State.BUSY)
        first, second = await waiting(pool, 2)
        first.cancel()
        pool.close()
        await asyncio.gather(first, second, return_exceptions=True)
        assert first.cancelled()
        assert isinstance(second.exception(), StationError)

    asyncio.run(run())
