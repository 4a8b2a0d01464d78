"""How late the event loop is: what it says of times that are told to it (spec.md §11.26)."""

from __future__ import annotations

from runner.loop_lag import LoopLag


def test_the_last_the_most_and_how_often_it_was_away_are_told() -> None:
    lag = LoopLag()
    seen = []
    for late_s in (0.001, 0.6, -0.2, 0.5, 2.0, 0.01):
        lag.measured(late_s)
        seen.append((lag.lag_ms, lag.most_ms, lag.away))
    assert seen == [(1, 1, 0), (600, 600, 1), (0, 600, 1), (500, 600, 1), (2000, 2000, 2), (10, 2000, 2)]
