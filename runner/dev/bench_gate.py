"""Measures this checkout, alone or in turn with another one (spec.md §11.32).

    gate    both checkouts live at once; each pair of rounds in an order drawn by lot, several lives of each process

A process that happens to lie badly in memory is slower for all its life: so each side lives more than once.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median

import psutil

from runner.dev.bench_checkout import Checkout, RaisedError, Side
from runner.dev.bench_document import (
    EXPECTED_COUNTS,
    LIMIT,
    Document,
    Ending,
    Finding,
    Fingerprint,
    Measured,
    counted,
    judged,
)
from runner.dev.bench_statistics import UnusableError, ratio_interval

# Counts of fewer inspections than these would miss what happens only now and then.
COUNTED_CALLS = 200


# Many short rounds: with 120 pairs that scatter by 7 % the interval is 3 % wide, and 15 % more is told from 10 %.
# Rounds of twice the length scatter by a tenth less, which more of them is worth more than.
PAIRS = 40
CALLS = 30


@dataclass(frozen=True, slots=True)
class GatePlan:
    """How long to measure: `lives` times `pairs` pairs of rounds of `calls`; `limit` is a share."""

    lives: int = 3
    pairs: int = PAIRS
    calls: int = CALLS
    limit: float = LIMIT
    seed: int = 1


@dataclass(slots=True)
class Paired:
    """What both sides took, round for round; `raised` is why there is no more of it."""

    base: list[float] = field(default_factory=list)
    other: list[float] = field(default_factory=list)
    raised: str = ""


def measure(checkout: Checkout, plan: GatePlan) -> Document:
    """The rounds of every scenario of one checkout, and its counts."""
    rounds: dict[str, list[float]] = {}
    raised: dict[str, str] = {}
    told: dict[str, dict[str, str]] = {}
    counts: dict[str, int] = {}
    with on_one_core():
        for _ in range(plan.lives):
            with Side(checkout) as side:
                side.ready()
                told = side.scenarios
                counts = side.counts(COUNTED_CALLS)
                for name in list(told) * plan.pairs:
                    if name not in raised:
                        try:
                            rounds.setdefault(name, []).append(median(side.samples(name, plan.calls)))
                        except RaisedError as error:
                            raised[name] = str(error)
    scenarios = {
        name: Measured.model_validate({**told[name], "rounds": found})
        for name, found in rounds.items()
        if name not in raised
    }
    return Document(fingerprint=Fingerprint.here(), scenarios=scenarios, raised=raised, counts=counts)


def gate_counts(checkout: Checkout) -> list[Finding]:
    """Only what is counted: quick, and never a matter of luck."""
    with Side(checkout) as side:
        try:
            side.ready()
            return counted(side.counts(COUNTED_CALLS), EXPECTED_COUNTS)
        except RaisedError as error:
            return [Finding(name="counts", ending=Ending.RAISED, told=str(error))]


def gate(base: Checkout, other: Checkout, plan: GatePlan) -> list[Finding]:
    """What `other` has become worse in than `base`, both measured here and now."""
    chance = random.Random(plan.seed)
    paired: dict[str, Paired] = {}
    found: list[Finding] = []
    better: dict[str, dict[str, str]] = {}
    with on_one_core():
        for life in range(plan.lives):
            with ExitStack() as stack:
                before, after = stack.enter_context(Side(base)), stack.enter_context(Side(other))
                try:
                    before.ready()
                    after.ready()
                    if life == 0:
                        found += counted(after.counts(COUNTED_CALLS), EXPECTED_COUNTS)
                except RaisedError as error:
                    return [*found, Finding(name="start", ending=Ending.RAISED, told=str(error))]
                better = after.scenarios
                for name in before.scenarios:
                    kept = paired.setdefault(name, Paired())
                    if name in after.scenarios and not kept.raised:
                        _pairs(before, after, name, (kept, chance, plan))
    return found + [_finding(name, one, better, plan) for name, one in paired.items()]


def _pairs(before: Side, after: Side, name: str, into: tuple[Paired, random.Random, GatePlan]) -> None:
    kept, chance, plan = into
    try:
        for _ in range(plan.pairs):
            for side in chance.sample((before, after), 2):
                took = median(side.samples(name, plan.calls))
                (kept.base if side is before else kept.other).append(took)
    except RaisedError as error:
        kept.raised = str(error)


def _finding(name: str, kept: Paired, better: dict[str, dict[str, str]], plan: GatePlan) -> Finding:
    if kept.raised:
        return Finding(name=name, ending=Ending.RAISED, told=kept.raised)
    if name not in better:
        return Finding(name=name, ending=Ending.VANISHED, told="the other checkout does not measure it any more")
    try:
        ratio = ratio_interval(kept.base, kept.other)
    except UnusableError as error:
        return Finding(name=name, ending=Ending.UNUSABLE, told=str(error))
    return judged(name, ratio, "higher" if better[name]["better"] == "higher" else "lower", plan.limit)


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process and what it starts share a core: on two, wake-ups make every row bimodal."""
    if sys.platform == "linux":
        usable = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(usable)})
        try:
            yield
        finally:
            os.sched_setaffinity(0, usable)
    elif sys.platform == "win32":
        usable_there = psutil.Process().cpu_affinity()
        psutil.Process().cpu_affinity(usable_there[:1])
        try:
            yield
        finally:
            psutil.Process().cpu_affinity(usable_there)
    else:
        yield
