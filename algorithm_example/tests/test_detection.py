"""The core: planted defects are found and named, clean boards are left in peace."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pcb_inspection.algorithm import PACKAGE_ROOT
from pcb_inspection.boards import make_board, template
from pcb_inspection.defects import DefectKind, Grey
from pcb_inspection.designs import DESIGNS, IMAGE_PX
from pcb_inspection.detection import find_defects
from pcb_inspection.recipe import Recipe, load_recipe
from pcb_inspection.registration import Registration, agreement, moved, register
from pcb_inspection.scoring import Tally, tally

RECIPES = {name: load_recipe(PACKAGE_ROOT / "assets" / f"{name.lower()}.json") for name in DESIGNS}
SEEDS = range(100, 112)


def painted(name: str, rectangle: tuple[int, int, int, int], level: int) -> Grey:
    """The template with one rectangle (x, y, width, height) of that grey level painted on it."""
    image = template(name)
    x, y, width, height = rectangle
    image[y : y + height, x : x + width] = level
    return image


@pytest.mark.parametrize("name", DESIGNS)
def test_nearly_every_planted_defect_is_found_and_named_and_nothing_else(name: str) -> None:
    total = Tally()
    for seed in SEEDS:
        board = make_board(name, seed)
        total += tally(board.truth, find_defects(template(name), board.image, RECIPES[name]))
    assert total.recall >= 0.97
    assert total.precision >= 0.97


@pytest.mark.parametrize("name", DESIGNS)
def test_a_clean_board_has_no_defects_wherever_it_lies(name: str) -> None:
    for seed in SEEDS:
        assert find_defects(template(name), make_board(name, seed, ()).image, RECIPES[name]) == []


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("kind", DefectKind)
def test_each_kind_is_called_by_its_name(name: str, kind: DefectKind) -> None:
    board = make_board(name, 42, (kind, kind))
    found = find_defects(template(name), board.image, RECIPES[name])
    assert [defect.kind for defect in found] == [kind] * len(board.truth)
    assert all(0.0 <= defect.score <= 1.0 and defect.box.inside(IMAGE_PX, IMAGE_PX) for defect in found)


def test_dark_copper_on_a_bright_board_is_inspected_alike() -> None:
    board = make_board("PCB-A", 4)
    dark = Recipe(threshold=255 - 97 - 1, copper="dark")
    upright = find_defects(template("PCB-A"), board.image, Recipe(threshold=97))
    assert find_defects(255 - template("PCB-A"), 255 - board.image, dark) == upright
    assert len(upright) == len(board.truth)


@pytest.mark.parametrize(
    ("width_px", "sensitivity", "expected"),
    [
        (2, "normal", []),
        (3, "normal", []),
        (5, "normal", [DefectKind.SPUR]),
        (5, "low", []),
        (12, "low", [DefectKind.SPUR]),
        (2, "high", []),
    ],
)
def test_copper_that_is_a_little_too_wide_is_etching_and_no_spur(
    width_px: int, sensitivity: str, expected: list[DefectKind]
) -> None:
    recipe = RECIPES["PCB-A"].with_sensitivity(sensitivity)  # type: ignore[arg-type]
    # The pour's left edge lies at x = 438.
    image = painted("PCB-A", (438 - width_px, 320, width_px, 12), 142)
    assert [defect.kind for defect in find_defects(template("PCB-A"), image, recipe)] == expected


def test_the_inputs_are_only_read() -> None:
    golden, image = template("PCB-B"), make_board("PCB-B", 9).image
    golden.setflags(write=False)
    image.setflags(write=False)
    assert find_defects(golden, image, RECIPES["PCB-B"])


def test_a_template_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(640, 640\) and image \(600, 640\)"):
        find_defects(template("PCB-A"), template("PCB-A")[:600], RECIPES["PCB-A"])


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (7, -5), (-23, 16), (3, 20)])
def test_registration_finds_a_board_that_was_moved(dx: int, dy: int) -> None:
    recipe = RECIPES["PCB-A"]
    golden = recipe.copper_of(template("PCB-A"))
    by = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    image = cv2.warpAffine(golden, by, (IMAGE_PX, IMAGE_PX)).astype(np.uint8)
    found = register(golden, image, 24)
    assert found.shift == (dx, dy)
    assert agreement(moved(golden, found), image) > 0.999


def test_a_registration_survives_the_journey_through_a_session() -> None:
    golden = RECIPES["PCB-B"].copper_of(template("PCB-B"))
    found = register(golden, RECIPES["PCB-B"].copper_of(make_board("PCB-B", 6).image), 24)
    back = Registration.from_json(found.to_json())
    assert back.shift == found.shift
    assert back.offsets.dtype == np.int8
    assert np.array_equal(back.offsets, found.offsets)


@pytest.mark.parametrize(("shown", "fits"), [("PCB-A", True), ("PCB-B", False)])
def test_agreement_tells_the_right_board_from_another(shown: str, fits: bool) -> None:
    recipe = RECIPES["PCB-A"]
    golden, image = recipe.copper_of(template("PCB-A")), recipe.copper_of(make_board(shown, 1).image)
    assert (agreement(moved(golden, register(golden, image, 24)), image) >= recipe.min_agreement) is fits
