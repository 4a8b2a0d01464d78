"""What a difference is called, on circuits small enough to draw by hand."""

from __future__ import annotations

import numpy as np
import pytest
from pcb_inspection.classification import merged
from pcb_inspection.defects import BOX_MARGIN_PX, Defect, DefectKind, Mask, grown
from pcb_inspection.detection import compare
from pcb_inspection.recipe import Recipe

from procvision_sdk import Rect

Area = tuple[int, int, int, int]  # x, y, width, height
TRACK: Area = (0, 40, 120, 20)
NEIGHBOUR: Area = (0, 80, 120, 20)
POUR: Area = (20, 20, 80, 80)


def circuit(*areas: Area) -> Mask:
    copper = np.zeros((120, 120), np.uint8)
    for x, y, width, height in areas:
        copper[y : y + height, x : x + width] = 1
    return copper


def kinds(expected: Mask, image: Mask) -> list[str]:
    return [str(defect.kind) for defect in compare(expected, image, Recipe())]


@pytest.mark.parametrize(
    ("what", "hole", "called"),
    [
        ("cut through the track", (55, 40, 6, 20), ["open"]),
        ("cut that leaves two pixels", (55, 40, 6, 18), ["open"]),
        ("cut that leaves six pixels", (55, 40, 6, 14), ["mousebite"]),
        ("bite of five pixels", (55, 40, 10, 5), ["mousebite"]),
        ("bite of three pixels", (55, 40, 10, 3), []),
        ("hole in the middle", (55, 46, 8, 8), ["pin-hole"]),
        ("speck below the least area", (55, 49, 3, 3), []),
    ],
)
def test_missing_copper_is_named_by_what_it_leaves(what: str, hole: Area, called: list[str]) -> None:
    image = circuit(TRACK) - circuit(hole)
    assert kinds(circuit(TRACK), image) == called, what


@pytest.mark.parametrize(
    ("what", "patch", "called"),
    [
        ("bridge to the neighbour", (50, 60, 8, 20), ["short"]),
        ("bridge with a pixel left at each end", (50, 61, 8, 18), ["short"]),
        ("bridge that ends five pixels off", (50, 60, 8, 15), ["spur"]),
        ("outgrowth", (50, 60, 8, 9), ["spur"]),
        ("outgrowth of three pixels", (50, 60, 8, 3), []),
        ("island", (50, 10, 10, 10), ["copper"]),
        ("speck below the least area", (50, 10, 3, 4), []),
    ],
)
def test_extra_copper_is_named_by_what_it_touches(what: str, patch: Area, called: list[str]) -> None:
    golden = circuit(TRACK, NEIGHBOUR)
    assert kinds(golden, circuit(TRACK, NEIGHBOUR, patch)) == called, what


def test_fragments_of_one_cut_are_one_defect() -> None:
    image = circuit(TRACK) - circuit((55, 40, 6, 9), (55, 52, 6, 8))
    assert kinds(circuit(TRACK), image) == ["open"]


def test_a_crumb_left_inside_a_bite_is_no_end_of_the_track() -> None:
    track, bite, crumb = circuit((0, 30, 120, 40)), circuit((40, 30, 24, 22)), circuit((48, 37, 8, 8))
    assert kinds(track, track - bite + crumb) == ["mousebite"]


@pytest.mark.parametrize(("width_px", "called"), [(4, []), (8, ["short"])])
def test_a_thread_between_two_tracks_is_a_short_only_above_the_least_area(width_px: int, called: list[str]) -> None:
    close = (0, 66, 120, 20)
    assert kinds(circuit(TRACK, close), circuit(TRACK, close, (50, 60, width_px, 6))) == called


def test_a_sliver_at_the_border_is_the_unseen_edge_of_a_track() -> None:
    assert kinds(circuit(), circuit((0, 30, 3, 40))) == []
    assert kinds(circuit(), circuit((0, 30, 9, 40))) == ["copper"]


def test_nothing_is_said_about_what_the_template_does_not_know() -> None:
    expected = circuit(POUR)
    expected[:, :30] = 2
    assert kinds(expected, circuit((30, 20, 70, 80))) == []


def test_the_box_is_the_difference_with_its_margin() -> None:
    found = compare(circuit(POUR), circuit(POUR) - circuit((50, 52, 9, 7)), Recipe())
    assert [defect.box for defect in found] == [grown(Rect(50, 52, 9, 7), BOX_MARGIN_PX, (120, 120))]


def test_the_larger_defect_comes_first() -> None:
    image = circuit(POUR) - circuit((30, 30, 6, 6), (70, 70, 12, 12))
    found = compare(circuit(POUR), image, Recipe())
    assert [defect.box.x for defect in found] == [60, 20]
    assert found[0].score > found[1].score


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (Defect(DefectKind.OPEN, Rect(12, 12, 20, 20), 0.5), 1),
        (Defect(DefectKind.OPEN, Rect(40, 10, 20, 20), 0.5), 2),
        (Defect(DefectKind.SPUR, Rect(12, 12, 20, 20), 0.5), 2),
    ],
)
def test_a_defect_is_told_once_unless_kind_or_place_differ(other: Defect, kept: int) -> None:
    best = Defect(DefectKind.OPEN, Rect(10, 10, 20, 20), 0.9)
    assert merged([other, best])[0] is best
    assert len(merged([other, best])) == kept
