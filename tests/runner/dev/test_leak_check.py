"""What counts as growth."""

from __future__ import annotations

import pytest

from runner.dev.checks import Outcome
from runner.dev.leak_check import Use, judge

BEFORE = Use(memory_bytes=50_000_000, descriptors=20, threads=3)

AFTER = [
    (BEFORE, Outcome.PASS),
    (Use(40_000_000, 10, 1), Outcome.PASS),
    (Use(51_000_000, 21, 4), Outcome.PASS),
    (Use(53_000_000, 20, 3), Outcome.WARN),
    (Use(60_000_000, 20, 3), Outcome.FAIL),
    (Use(50_000_000, 30, 3), Outcome.FAIL),
    (Use(50_000_000, 20, 13), Outcome.FAIL),
]


@pytest.mark.parametrize(("after", "result"), AFTER)
def test_growth_per_inspection_decides(after: Use, result: Outcome) -> None:
    assert judge(BEFORE, after, 40).result is result
