"""Whose turn it is: one at a time, in order, and nobody's turn is lost with who gave up."""

from __future__ import annotations

import asyncio

import pytest

from runner.turns import Turns

NEVER_S = 3600.0


def test_the_turn_goes_round_in_the_order_of_arrival() -> None:
    async def run() -> list[int]:
        turns, order = Turns(), []

        async def one(number: int) -> None:
            await turns.take(NEVER_S)
            order.append(number)
            await asyncio.sleep(0)
            turns.give_back()

        await asyncio.gather(*(one(number) for number in range(5)))
        assert not turns.taken
        return order

    assert asyncio.run(run()) == [0, 1, 2, 3, 4]


def test_who_is_out_of_patience_is_told_and_the_others_keep_their_place() -> None:
    async def run() -> None:
        turns = Turns()
        assert turns.take_if_free() and not turns.take_if_free()
        patient = asyncio.create_task(turns.take(NEVER_S))
        with pytest.raises(TimeoutError):
            await turns.take(0.0)
        turns.give_back()
        await patient
        assert turns.taken

    asyncio.run(run())


def test_a_turn_given_to_somebody_who_is_cancelled_goes_to_the_next() -> None:
    async def run() -> None:
        turns = Turns()
        turns.take_if_free()
        unwanted, patient = (asyncio.create_task(turns.take(NEVER_S)) for _ in range(2))
        await asyncio.sleep(0)
        turns.give_back()
        unwanted.cancel()
        await patient
        assert unwanted.cancelled()
        turns.give_back()
        assert not turns.taken

    asyncio.run(run())
