"""Scoring: found defects held against known ones. A find counts when kind agrees and the boxes overlap enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pcb_inspection.defects import Defect

# The criterion of the DeepPCB benchmark: intersection over union with a box of the same kind above this.
MIN_IOU = 0.33


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over one or more boards; add two tallies to count both."""

    hits: int = 0
    misses: int = 0
    false_calls: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.hits + other.hits, self.misses + other.misses, self.false_calls + other.false_calls)

    @property
    def precision(self) -> float:
        return self.hits / max(self.hits + self.false_calls, 1)

    @property
    def recall(self) -> float:
        return self.hits / max(self.hits + self.misses, 1)

    @property
    def f_score(self) -> float:
        return 2 * self.hits / max(2 * self.hits + self.false_calls + self.misses, 1)


def confirmed(truth: Sequence[Defect], found: Iterable[Defect]) -> list[tuple[Defect, bool]]:
    """Each find, best score first, and whether it hits a known defect that no better find has hit before."""
    open_truth = list(truth)
    outcome = []
    for defect in sorted(found, key=lambda one: -one.score):
        rivals = [known for known in open_truth if known.kind is defect.kind]
        best = max(rivals, key=lambda known: known.box.iou(defect.box), default=None)
        hit = best is not None and best.box.iou(defect.box) > MIN_IOU
        if best is not None and hit:
            open_truth.remove(best)
        outcome.append((defect, hit))
    return outcome


def tally(truth: Sequence[Defect], found: Iterable[Defect]) -> Tally:
    """Hits, misses and false calls of one board."""
    outcome = confirmed(truth, found)
    hits = sum(hit for _, hit in outcome)
    return Tally(hits, len(truth) - hits, len(outcome) - hits)


def average_precision(outcome: Iterable[tuple[Defect, bool]], known: int) -> float:
    """Area under precision over recall for finds of one kind over many boards, 0..1; `known` is the number planted."""
    ranked = sorted(outcome, key=lambda pair: -pair[0].score)
    hits, precisions, at_hit = 0, [], []
    for rank, (_, hit) in enumerate(ranked, start=1):
        hits += hit
        precisions.append(hits / rank)
        if hit:
            at_hit.append(rank - 1)
    envelope, best = [0.0] * len(precisions), 0.0
    for index in range(len(precisions) - 1, -1, -1):
        best = max(best, precisions[index])
        envelope[index] = best
    return sum(envelope[index] for index in at_hit) / max(known, 1)
