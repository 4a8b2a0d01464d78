"""Medians, intervals and verdicts: known cases, and what holds for any samples (spec.md §11.30)."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.dev.bench_statistics import (
    Better,
    Interval,
    UnusableError,
    Verdict,
    checked,
    independent_ratio,
    judge,
    median_interval,
    quantile,
    ratio_interval,
)

NUMBERS = st.floats(min_value=1e-3, max_value=1e6)
SAMPLES = st.lists(NUMBERS, min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("samples", "share", "expected"),
    [([5.0], 0.5, 5.0), ([1.0, 2.0], 0.5, 1.5), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0, 3.0], 0.99, 2.98)],
)
def test_a_quantile_lies_between_its_neighbours(samples: list[float], share: float, expected: float) -> None:
    assert quantile(samples, share) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], "no sample"),
        ([1.0, math.nan], "sample 1 of 2 is nan"),
        ([math.inf], "sample 0 of 1 is inf"),
        ([1.0, 2.0, 0.0], "sample 2 of 3 is 0.0"),
        ([-1.0], "sample 0 of 1 is -1.0"),
    ],
)
def test_samples_that_say_nothing_are_refused_by_name(samples: list[float], expected: str) -> None:
    with pytest.raises(UnusableError, match=expected):
        checked(samples)


VERDICTS: list[tuple[Interval, Better, float, Verdict]] = [
    (Interval(1.00, 0.95, 1.05), "lower", 0.10, Verdict.SAME),
    (Interval(1.15, 1.09, 1.20), "lower", 0.10, Verdict.SAME),
    (Interval(1.15, 1.11, 1.20), "lower", 0.10, Verdict.WORSE),
    (Interval(1.15, 1.11, 1.20), "lower", 0.20, Verdict.SAME),
    (Interval(0.80, 0.75, 0.85), "lower", 0.10, Verdict.BETTER),
    (Interval(0.80, 0.75, 0.95), "lower", 0.10, Verdict.SAME),
    (Interval(0.80, 0.75, 0.85), "higher", 0.10, Verdict.WORSE),
    (Interval(0.95, 0.90, 1.00), "higher", 0.10, Verdict.SAME),
    (Interval(1.20, 1.15, 1.30), "higher", 0.10, Verdict.BETTER),
]


@pytest.mark.parametrize(("ratio", "better", "limit", "expected"), VERDICTS)
def test_a_verdict_needs_the_whole_interval_beyond_the_limit(
    ratio: Interval, better: Better, limit: float, expected: Verdict
) -> None:
    assert judge(ratio, better, limit) is expected


@settings(max_examples=25)
@given(SAMPLES)
def test_an_interval_holds_its_median_and_lies_within_the_samples(samples: list[float]) -> None:
    found = median_interval(samples)
    assert min(samples) <= found.low <= found.high <= max(samples)
    assert found.low * (1 - 1e-9) <= found.median <= found.high * (1 + 1e-9)


@settings(max_examples=25)
@given(SAMPLES, st.floats(min_value=0.1, max_value=10))
def test_what_is_slower_by_a_factor_in_every_round_has_that_ratio_without_a_doubt(
    samples: list[float], factor: float
) -> None:
    found = ratio_interval(samples, [factor * one for one in samples])
    assert (found.low, found.median, found.high) == pytest.approx((factor, factor, factor))


@settings(max_examples=25)
@given(SAMPLES)
def test_the_same_samples_give_the_same_interval(samples: list[float]) -> None:
    assert median_interval(samples) == median_interval(list(samples))


def test_a_drift_that_both_sides_share_is_no_difference_in_pairs() -> None:
    drift = [100.0 * 1.02**step for step in range(30)]
    found = ratio_interval(drift, [1.01 * one for one in drift])
    assert (found.low, found.high) == pytest.approx((1.01, 1.01))
    alone = independent_ratio(drift, [1.01 * one for one in drift])
    assert alone.high - alone.low > 0.1


def test_sides_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio_interval([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0, 1), (1.15, 19, 20)])
def test_of_twenty_noisy_comparisons_the_true_ones_are_judged_worse(factor: float, least: int, most: int) -> None:
    chance = random.Random(7)

    def rounds(scale: float) -> list[float]:
        return [scale * chance.lognormvariate(0, 0.05) * (3.0 if chance.random() < 0.05 else 1.0) for _ in range(120)]

    worse = sum(judge(ratio_interval(rounds(1.0), rounds(factor)), "lower", 0.10) is Verdict.WORSE for _ in range(20))
    assert least <= worse <= most
