"""The restart budget: exact over any sequence of failures, good calls and pauses (spec.md §7)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from runner.workers.budget import CLEAR_AFTER_CALLS, CLEAR_AFTER_S, MAX_BACKOFF_S, RestartBudget


def after(times: list[float], budget: RestartBudget | None = None) -> RestartBudget:
    budget = budget or RestartBudget()
    for at_s in times:
        budget = budget.fail(at_s)
    return budget


@pytest.mark.parametrize(
    ("times", "degraded"),
    [
        ([], False),
        ([0, 1, 2], False),
        ([0, 1, 2, 3], True),
        ([0, 1, 2, 59.9], True),
        ([0, 1, 2, 60], False),
        ([0, 30, 59, 61, 62], True),
    ],
)
def test_the_fourth_failure_in_a_minute_exceeds_the_budget(times: list[float], degraded: bool) -> None:
    assert after(times).degraded is degraded


def test_restarts_are_at_once_within_the_budget_and_slow_down_beyond_it() -> None:
    budget, delays = RestartBudget(), []
    for number in range(12):
        budget = budget.fail(float(number))
        delays.append(budget.delay_s(0.0))
    assert delays == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert budget.delay_s(0.2) == pytest.approx(MAX_BACKOFF_S * 1.2)


def test_ten_quiet_minutes_clear_it() -> None:
    budget = after([0, 1, 2, 3])
    assert budget.succeed(3 + CLEAR_AFTER_S - 1).degraded
    assert not budget.succeed(3 + CLEAR_AFTER_S).degraded
    assert not budget.fail(3 + CLEAR_AFTER_S).degraded


def test_a_thousand_good_calls_in_a_row_clear_it_and_a_failure_begins_the_count_again() -> None:
    budget = after([0, 1, 2, 3])
    for _ in range(CLEAR_AFTER_CALLS - 1):
        budget = budget.succeed(4)
    assert budget.degraded
    assert not budget.succeed(4).degraded
    assert budget.fail(5).good_calls == 0


def test_both_crashes_of_one_poison_input_count_as_one() -> None:
    assert not after([0, 1, 2, 3]).forgive().degraded
    assert after([0, 1, 2]).forgive().spent == (0, 1)


@pytest.mark.fault("A41")
@given(st.lists(st.floats(0, 500), max_size=40).map(sorted))
def test_the_window_is_exact(times: list[float]) -> None:
    budget = RestartBudget()
    exceeded_before = False
    for number, at_s in enumerate(times):
        budget = budget.fail(at_s)
        in_window = sum(at_s - earlier < budget.window_s for earlier in times[: number + 1])
        exceeded_before = exceeded_before or in_window > budget.limit
        assert budget.degraded is exceeded_before
        assert len(budget.spent) == in_window


class Budget(RuleBasedStateMachine):
    """Failures, good calls and pauses in any order, against a model that keeps every moment of the past."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RestartBudget()
        self.now_s = 0.0
        self.failures: list[float] = []
        self.beyond = self.good = 0

    @rule(pause_s=st.sampled_from([0.0, 0.5, 19.9, 30.0, 60.0, 61.0, CLEAR_AFTER_S - 1, CLEAR_AFTER_S]))
    def wait(self, pause_s: float) -> None:
        self.now_s += pause_s

    @rule()
    def fail(self) -> None:
        self._clear_after_quiet()
        self.budget = self.budget.fail(self.now_s)
        self.failures.append(self.now_s)
        recent = [at_s for at_s in self.failures if self.now_s - at_s < self.budget.window_s]
        self.beyond += self.beyond > 0 or len(recent) > self.budget.limit
        self.good = 0

    @rule(calls=st.sampled_from([1, 400, CLEAR_AFTER_CALLS]))
    def serve(self, calls: int) -> None:
        for _ in range(calls):
            self._clear_after_quiet()
            self.budget = self.budget.succeed(self.now_s)
            self.good = self.good + 1 if self.beyond else 0
            if self.good >= CLEAR_AFTER_CALLS:
                self.beyond = self.good = 0

    def _clear_after_quiet(self) -> None:
        if self.failures and self.now_s - self.failures[-1] >= CLEAR_AFTER_S:
            self.beyond = self.good = 0

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.budget.degraded is (self.beyond > 0)
        slowest = MAX_BACKOFF_S if self.beyond else 0.0
        assert self.budget.delay_s(0.0) == min(slowest, 2.0 ** (self.beyond - 1))


@pytest.mark.fault("A41")
def test_the_budget_is_exact_over_any_life() -> None:
    run_state_machine_as_test(Budget, settings=settings(max_examples=60, deadline=None))
