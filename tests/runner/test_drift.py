"""When a step counts as slow: medians of whole windows against the first one (spec.md §7.24)."""

from __future__ import annotations

import pytest

from runner.workers.drift import WINDOW, Drift


def feed(drift: Drift, *windows: float, step: int = 1) -> list[str]:
    """Whole windows of equal durations; what was warned of."""
    told = [drift.take(step, took_ms) for took_ms in windows for _ in range(WINDOW)]
    return [why for why in told if why]


@pytest.mark.parametrize(
    ("windows", "warnings", "slow"),
    [
        ((10.0,), 0, []),
        ((10.0, 10.0, 29.9), 0, []),
        ((10.0, 30.0), 1, [1]),
        ((10.0, 30.0, 90.0), 1, [1]),  # it is known
        ((10.0, 30.0, 10.0), 1, []),
        ((10.0, 30.0, 10.0, 31.0), 2, [1]),
        ((0.01, 2.9), 0, []),  # below a millisecond everything drifts
        ((0.01, 3.0), 1, [1]),
        ((30.0, 10.0), 0, []),
    ],
)
def test_a_step_is_slow_while_its_median_is_threefold(
    windows: tuple[float, ...], warnings: int, slow: list[int]
) -> None:
    drift = Drift()
    assert len(feed(drift, *windows)) == warnings == drift.warnings
    assert drift.slow_steps == slow


def test_single_slow_calls_say_nothing() -> None:
    drift = Drift()
    feed(drift, 10.0)
    told = [drift.take(1, 1_000.0 if number % 3 == 0 else 10.0) for number in range(5 * WINDOW)]
    assert set(told) == {""}


def test_each_step_is_compared_with_itself_and_the_warning_says_by_how_much() -> None:
    drift = Drift()
    feed(drift, 10.0)
    assert feed(drift, 100.0, 100.0, step=2) == []
    (why,) = feed(drift, 45.0)
    assert why == f"step 1 takes 45.0 ms, 10.0 ms at first (medians of {WINDOW} calls)"
    assert drift.slow_steps == [1]
