"""An inspection in flight: what is left of its time, and who still wants it (spec.md §4, §7)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.wire.host_messages import Inspect
from runner import ticket as module
from runner.eager import EagerTask
from runner.ticket import Stage, Ticket


class Clock:
    """Only a test moves it."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    by_hand = Clock()
    monkeypatch.setattr(module, "monotonic_s", by_hand)
    return by_hand


def ticket(give_up_at_s: float | None, **fields: Any) -> Ticket:
    request = Inspect(request_id="r", pid="p", shared_mem_id="m", image_meta={}, **fields)
    return Ticket(request, received_at_s=1000.0, give_up_at_s=give_up_at_s, queue_s=5.0)


def test_without_a_deadline_it_waits_as_long_as_the_station_says_and_runs_as_long_as_its_hooks_may(
    clock: Clock,
) -> None:
    one = ticket(None)
    clock.now_s += 1_000_000.0
    assert (one.patience_s(), one.limit_s(40.0), one.has_time()) == (5.0, 40.0, True)


def test_a_deadline_shrinks_with_the_time_that_passed(clock: Clock) -> None:
    one = ticket(1010.0, deadline_ms=10_050.0)
    assert (one.patience_s(), one.limit_s(40.0), one.limit_s(3.0)) == (10.0, 10.0, 3.0)
    clock.now_s += 8.0
    assert (one.patience_s(), one.limit_s(40.0), one.limit_s(3.0), one.has_time()) == (2.0, 2.0, 2.0, True)


@pytest.mark.parametrize("late_s", [0.0, 0.001, 100.0])
def test_a_deadline_that_passed_leaves_no_time_to_wait_or_to_try_again(clock: Clock, late_s: float) -> None:
    one = ticket(1010.0, deadline_ms=10_050.0)
    clock.now_s = 1010.0 + late_s
    with pytest.raises(StationError, match="deadline_ms 10050 was over before a worker could begin") as refused:
        one.patience_s()
    assert refused.value.code == ErrorCode.TIMEOUT
    assert one.limit_s(40.0) <= 0.0
    assert not one.has_time()


@pytest.mark.usefixtures("clock")
def test_what_nobody_wants_does_not_wait_for_a_worker() -> None:
    one = ticket(None)
    one.refuse_if_cancelled()
    assert one.cancel() is Stage.WAITING
    for ask in (one.patience_s, one.refuse_if_cancelled):
        with pytest.raises(StationError, match="the host cancelled this inspection") as refused:
            ask()
        assert refused.value.code == ErrorCode.CANCELLED


def test_a_cancel_wakes_what_waits_and_leaves_what_runs_to_its_hook() -> None:
    async def run() -> tuple[list[Stage], list[bool]]:
        stages, ended = [], []
        for stage in (Stage.WAITING, Stage.RUNNING):
            one = ticket(None)
            one.stage = stage
            never = asyncio.get_running_loop().create_future()
            one.task = EagerTask(_bytes_of(never))
            stages += [one.cancel(), one.cancel()]
            ended.append(never.cancelled())
            never.cancel()
            await asyncio.sleep(0)
        return stages, ended

    assert asyncio.run(run()) == ([Stage.WAITING] * 2 + [Stage.RUNNING] * 2, [True, False])


async def _bytes_of(waiting: asyncio.Future[bytes]) -> bytes:
    with suppress(asyncio.CancelledError):
        return await waiting
    return b""


def test_two_tickets_share_nothing() -> None:
    first, second = ticket(None), ticket(None)
    first.timeline.queue += 1.0
    assert second.timeline.queue == 0.0
    assert first.readers is not second.readers
