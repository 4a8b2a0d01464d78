"""Medians, intervals and verdicts of measurements; numbers in, values out (spec.md §11.30).

Two sides are measured in pairs of rounds, one right after the other; what counts is the median over the pairs of the
ratio of their medians, with the interval that resampling the pairs gives it. A one-shot difference is no evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Literal

import numpy as np

Better = Literal["lower", "higher"]
# Of both ends together; a verdict uses one of them, and is wrong in 5 of 100 cases at most.
CONFIDENCE = 0.90
RESAMPLES = 2000
# The same samples always get the same interval.
SEED = 20_240_901


class Verdict(StrEnum):
    """What two measurements of one scenario say."""

    SAME = "same"
    WORSE = "worse"
    BETTER = "better"


class UnusableError(ValueError):
    """Samples that say nothing: none at all, or one that is no positive finite number."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A median with its interval."""

    median: float
    low: float
    high: float


def checked(samples: Sequence[float]) -> Sequence[float]:
    """The samples; UnusableError names the first that is NaN, infinite, zero or negative."""
    if not samples:
        raise UnusableError("no sample")
    for index, sample in enumerate(samples):
        if not isfinite(sample) or sample <= 0:
            raise UnusableError(f"sample {index} of {len(samples)} is {sample}; expected a positive number")
    return samples


def quantile(samples: Sequence[float], share: float) -> float:
    """By linear interpolation, `share` in 0..1; UnusableError."""
    return float(np.quantile(np.asarray(checked(samples)), share))


def median_interval(values: Sequence[float]) -> Interval:
    """The median of some values, and where it would lie in 90 of 100 other draws of them."""
    drawn = np.asarray(checked(values), np.float64)
    picks = np.random.default_rng(SEED).integers(0, len(drawn), (RESAMPLES, len(drawn)))
    medians = np.median(drawn[picks], axis=1)
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(medians, (outside, 1 - outside))
    return Interval(float(np.median(drawn)), float(low), float(high))


def ratio_interval(base: Sequence[float], other: Sequence[float]) -> Interval:
    """`other` over `base`, pair by pair; ValueError when they are not pairs."""
    pairs = zip(checked(base), checked(other), strict=True)
    return median_interval([there / here for here, there in pairs])


def independent_ratio(base: Sequence[float], other: Sequence[float]) -> Interval:
    """The ratio of two medians that were not measured in pairs: both sides are drawn anew."""
    draws = np.random.default_rng(SEED)
    here, there = (np.asarray(checked(side), np.float64) for side in (base, other))
    below, above = (
        np.median(side[draws.integers(0, len(side), (RESAMPLES, len(side)))], axis=1) for side in (here, there)
    )
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(above / below, (outside, 1 - outside))
    return Interval(float(np.median(there) / np.median(here)), float(low), float(high))


def judge(ratio: Interval, better: Better, limit: float) -> Verdict:
    """WORSE (or BETTER) only when the whole interval lies beyond `limit`, a share: 0.1 is ten percent."""
    if better == "higher":
        ratio = Interval(1 / ratio.median, 1 / ratio.high, 1 / ratio.low)
    if ratio.low > 1 + limit:
        return Verdict.WORSE
    return Verdict.BETTER if ratio.high < 1 / (1 + limit) else Verdict.SAME
