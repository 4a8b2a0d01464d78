"""A call is over its limit only when the runner was there to hear its answer (spec.md §7.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runner.workers import limit as limit_module
from runner.workers.limit import LAST_LOOK_S, Limit


class HandClock:
    """An event loop's timers and the monotonic clock, both moved by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.armed: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, delay_s: float, ring: Callable[[], None]) -> HandClock:
        self.armed.append((delay_s, ring))
        return self

    def cancel(self) -> None:
        self.armed.clear()

    def ring(self, late_s: float) -> None:
        """The timer that is armed now rings, `late_s` after it was due."""
        delay_s, ring = self.armed.pop()
        self.now_s += delay_s + late_s
        ring()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = HandClock()
    monkeypatch.setattr(limit_module, "monotonic_s", lambda: clock.now_s)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


# How late the timer rings each time, and for how long it is armed after each: none after the last.
RINGS = [
    ("in time", [0.0, 0.0], [2.0, LAST_LOOK_S]),
    ("a little late", [0.2, 0.2], [2.0, LAST_LOOK_S]),
    ("the runner was away", [5.0, 0.0, 0.0], [2.0, 5.0, LAST_LOOK_S]),
    ("away once more", [5.0, 1.0, 0.0, 0.0], [2.0, 5.0, 1.0, LAST_LOOK_S]),
    ("away during the last look", [0.0, 3.0, 0.0], [2.0, LAST_LOOK_S, 3.0]),
]


@pytest.mark.parametrize(("late_s", "armed_s"), [row[1:] for row in RINGS], ids=[row[0] for row in RINGS])
def test_before_a_call_is_given_up_its_answer_is_looked_for(
    clock: HandClock, late_s: list[float], armed_s: list[float]
) -> None:
    over: list[str] = []
    Limit(2.0, lambda: over.append("over"))
    for late, armed in zip(late_s, armed_s, strict=True):
        assert over == []
        assert [delay for delay, _ in clock.armed] == pytest.approx([armed])
        clock.ring(late)
    assert (over, clock.armed) == (["over"], [])


def test_a_call_that_was_answered_has_no_limit(clock: HandClock) -> None:
    Limit(2.0, lambda: None).end()
    assert clock.armed == []
