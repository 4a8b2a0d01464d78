"""The limit of one call after the other, with a clock that is moved by hand (spec.md §7)."""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from runner.workers import limit as module
from runner.workers.limit import LAG_S, Limit


class HandMovedLoop:
    """A clock and its timers; `set_counts` counts how many timers were ever set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.ready: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.set_counts = 0
        monkeypatch.setattr(module, "monotonic_s", lambda: self.now_s)
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(get_running_loop=lambda: self))

    def call_at(self, at_s: float, ring: Callable[[], None]) -> Any:
        timer = (at_s, ring)
        self.timers.append(timer)
        self.set_counts += 1
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def call_soon(self, call: Callable[..., None], *arguments: Any) -> None:
        self.ready.append((call, arguments))

    def sleep_until(self, at_s: float) -> None:
        """The loop is away until then; what is due rings when it is back, before it has looked at its pipes."""
        self.now_s = at_s
        while due := sorted(one for one in self.timers if one[0] <= at_s):
            self.timers.remove(due[0])
            due[0][1]()

    def turn(self, read: Callable[[], None] = lambda: None) -> None:
        """One turn: what was ready before it, then what it reads out of its pipes."""
        ready, self.ready = self.ready, []
        for call, arguments in ready:
            call(*arguments)
        read()

    def pass_by(self, at_s: float) -> None:
        """Until then, and the turns after it."""
        self.sleep_until(at_s)
        while self.ready:
            self.turn()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> HandMovedLoop:
    return HandMovedLoop(monkeypatch)


def test_a_call_that_is_not_over_at_its_limit_overran_once(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    limit.begin(2.0)
    loop.pass_by(101.9)
    assert overran == []
    loop.pass_by(102.0)
    loop.pass_by(200.0)
    assert overran == [102.0] and loop.timers == []


def test_an_answer_that_is_read_in_the_last_look_is_in_time(loop: HandMovedLoop) -> None:
    limit = Limit(lambda: pytest.fail("its answer lay in the pipe"))
    limit.begin(2.0)
    loop.sleep_until(102.2)
    loop.turn(read=limit.end)
    loop.pass_by(200.0)
    assert loop.timers == []


def test_what_lay_in_the_pipe_before_a_pause_is_read_before_the_limit_is_judged() -> None:
    reading, writing = os.pipe()
    overran: list[str] = []

    class PausedOnce(selectors.DefaultSelector):
        """Looks, finds nothing, and is away for longer than the limit, while the answer comes."""

        pause = False

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if not self.pause:
                return super().select(timeout)
            self.pause = False
            os.write(writing, b"answer")
            time.sleep(0.1)
            return []

    selector = PausedOnce()

    async def story() -> None:
        answered = asyncio.Event()
        limit = Limit(lambda: overran.append("overran"))

        def read() -> None:
            os.read(reading, 100)
            limit.end()
            answered.set()

        asyncio.get_running_loop().add_reader(reading, read)
        limit.begin(0.05)
        selector.pause = True
        await answered.wait()
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().remove_reader(reading)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(story())
    os.close(reading)
    os.close(writing)
    assert overran == []


def test_a_call_that_begins_between_two_looks_has_its_own_limit(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    limit.begin(2.0)
    loop.sleep_until(102.0)
    loop.turn(read=limit.end)
    limit.begin(5.0)
    loop.pass_by(106.9)
    assert overran == []
    loop.pass_by(107.0)
    loop.pass_by(200.0)
    assert overran == [107.0] and loop.timers == []


def test_a_thousand_calls_in_their_limits_set_one_timer(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    for call in range(1000):
        limit.begin(30.0)
        loop.sleep_until(100.0 + call / 100)
        limit.end()
    assert overran == [] and loop.set_counts == 1
    loop.pass_by(131.0)
    assert overran == [] and loop.timers == []


def test_the_limit_of_a_call_counts_from_its_own_begin(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    limit.begin(10.0)
    limit.end()
    loop.sleep_until(105.0)
    limit.begin(10.0)
    loop.pass_by(110.0)
    assert overran == []
    loop.pass_by(115.0)
    assert overran == [115.0]


def test_a_shorter_limit_rings_before_the_timer_of_a_longer_one(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    limit.begin(30.0)
    limit.end()
    limit.begin(1.0)
    loop.pass_by(101.0)
    assert overran == [101.0]


def test_a_runner_that_was_away_gives_the_call_the_time_it_missed(loop: HandMovedLoop) -> None:
    overran: list[float] = []
    limit = Limit(lambda: overran.append(loop.now_s))
    limit.begin(1.0)
    loop.pass_by(106.0)
    assert overran == []
    loop.pass_by(110.9)
    assert overran == []
    loop.pass_by(111.0)
    assert overran == [111.0]
    limit.begin(1.0)
    loop.pass_by(112.0 + LAG_S)
    assert overran == [111.0, 112.0 + LAG_S]


def test_a_closed_limit_leaves_no_timer(loop: HandMovedLoop) -> None:
    limit = Limit(lambda: pytest.fail("there was no call"))
    limit.begin(1.0)
    limit.close()
    assert loop.timers == []
    limit.close()
