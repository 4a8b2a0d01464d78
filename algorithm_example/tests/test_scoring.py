"""Scoring: what counts as found."""

from __future__ import annotations

import pytest
from pcb_inspection.defects import Defect, DefectKind
from pcb_inspection.scoring import Tally, average_precision, tally

from procvision_sdk import Rect

TRUTH = Defect(DefectKind.OPEN, Rect(100, 100, 30, 30))


@pytest.mark.parametrize(
    ("what", "found", "expected"),
    [
        ("the same box", [Defect(DefectKind.OPEN, Rect(100, 100, 30, 30))], Tally(1, 0, 0)),
        ("half beside it: IoU exactly a third", [Defect(DefectKind.OPEN, Rect(115, 100, 30, 30))], Tally(1, 0, 0)),
        ("a little farther", [Defect(DefectKind.OPEN, Rect(116, 100, 30, 30))], Tally(0, 1, 1)),
        ("another kind", [Defect(DefectKind.SPUR, Rect(100, 100, 30, 30))], Tally(0, 1, 1)),
        ("elsewhere", [Defect(DefectKind.OPEN, Rect(300, 300, 30, 30))], Tally(0, 1, 1)),
        ("found twice", [TRUTH, Defect(DefectKind.OPEN, Rect(101, 100, 30, 30), 0.5)], Tally(1, 0, 1)),
        ("nothing", [], Tally(0, 1, 0)),
    ],
)
def test_a_find_counts_when_kind_and_place_agree(what: str, found: list[Defect], expected: Tally) -> None:
    assert tally([TRUTH], found) == expected, what


def test_figures_of_many_boards_add_up() -> None:
    total = Tally(3, 1, 0) + Tally(1, 0, 1)
    assert (total.recall, total.precision, total.f_score) == (0.8, 0.8, 0.8)


def test_figures_without_any_board_are_zero_and_not_an_exception() -> None:
    assert (Tally().recall, Tally().precision, Tally().f_score) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("hits", "known", "expected"),
    [([True, True], 2, 1.0), ([True, False, True], 2, (1 + 2 / 3) / 2), ([False], 1, 0.0), ([], 3, 0.0)],
)
def test_average_precision_rewards_hits_that_rank_first(hits: list[bool], known: int, expected: float) -> None:
    ranked = [(Defect(DefectKind.OPEN, TRUTH.box, 0.9 - 0.1 * rank), hit) for rank, hit in enumerate(hits)]
    assert average_precision(ranked[::-1], known) == pytest.approx(expected)
