"""Coroutines that run from event to event: no turn of the loop before the first step, none between an event and it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from runner.eager import EagerTask, Reply, read_in_small_pieces, within

NEVER_S = 3600.0


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_coroutine_that_waits_for_nothing_has_its_result_before_the_constructor_returns() -> None:
    async def test() -> None:
        async def work() -> int:
            return 7

        told: list[int] = []
        EagerTask(work()).then(told.append)
        assert told == [7]

    run(test())


def test_a_reply_resumes_its_task_inside_set_result() -> None:
    async def test() -> None:
        told: list[str] = []
        first: Reply[str] = Reply()
        second: Reply[str] = Reply()

        async def work() -> str:
            told.append("began")
            told.append(await first)
            return await second

        EagerTask(work()).then(told.append)
        first.set_result("first")
        assert told == ["began", "first"]
        second.set_result("second")
        assert told == ["began", "first", "second"]

    run(test())


def test_a_reply_that_fails_raises_in_its_task_a_turn_later() -> None:
    async def test() -> None:
        told: list[str] = []
        reply: Reply[str] = Reply()

        async def work() -> str:
            try:
                return await reply
            except ValueError as error:
                return str(error)

        EagerTask(work()).then(told.append)
        reply.set_exception(ValueError("gone"))
        assert told == []
        await asyncio.sleep(0)
        assert told == ["gone"]

    run(test())


def test_a_reply_may_be_awaited_by_a_task_of_asyncio_too() -> None:
    async def test() -> None:
        reply: Reply[int] = Reply()
        asyncio.get_running_loop().call_soon(reply.set_result, 3)
        assert await reply == 3

    run(test())


def test_any_future_of_asyncio_may_be_awaited() -> None:
    async def test() -> None:
        told: list[int] = []
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def work() -> int:
            await asyncio.sleep(0)
            return await future

        EagerTask(work()).then(told.append)
        future.set_result(5)
        for _ in range(3):
            await asyncio.sleep(0)
        assert told == [5]

    run(test())


def test_a_cancelled_task_is_told_where_it_waits() -> None:
    async def test() -> None:
        told: list[str] = []
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def work() -> str:
            try:
                return await future
            except asyncio.CancelledError:
                return "cancelled"

        task = EagerTask(work())
        task.then(told.append)
        task.cancel()
        await asyncio.sleep(0)
        assert told == ["cancelled"]
        task.cancel()
        assert told == ["cancelled"]

    run(test())


def test_within_gives_the_result_and_leaves_no_timer() -> None:
    async def test() -> None:
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(place.set_result, 1)
        assert await within(NEVER_S, place) == 1

    run(test())


def test_within_ends_a_wait_that_takes_too_long() -> None:
    async def test() -> None:
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await within(-1.0, place)
        assert isinstance(place.exception(), TimeoutError)

    run(test())


def test_a_transport_reads_into_memory_its_allocator_keeps() -> None:
    class Transport(asyncio.BaseTransport):
        max_size = 262_144

    transport = Transport()
    read_in_small_pieces(transport)
    assert transport.max_size == 65_536
    read_in_small_pieces(None)
