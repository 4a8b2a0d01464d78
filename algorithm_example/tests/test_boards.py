"""The generator: the same seed is the same board, and its truth can be believed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pcb_inspection import boards
from pcb_inspection.algorithm import PACKAGE_ROOT
from pcb_inspection.boards import make_board, template
from pcb_inspection.defects import BOX_MARGIN_PX, DefectKind, Mask
from pcb_inspection.designs import DESIGNS, IMAGE_PX, PANEL_MARGIN_PX, PANEL_PX, design
from pcb_inspection.planting import plant, sites_of

EVERY_PLACE = [(name, kind) for name in DESIGNS for kind in DefectKind]


def changed_box(before: Mask, after: Mask) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(before != after)
    return int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


@pytest.mark.parametrize("name", DESIGNS)
def test_the_same_seed_gives_the_same_pixels_and_the_same_truth(name: str) -> None:
    first, second = make_board(name, 7), make_board(name, 7)
    assert np.array_equal(first.image, second.image)
    assert first.truth == second.truth


def test_another_seed_gives_another_board() -> None:
    assert not np.array_equal(make_board("PCB-A", 7, ()).image, make_board("PCB-A", 8, ()).image)


def test_a_board_is_the_callers_own_and_drawing_on_it_does_not_change_the_next() -> None:
    first = make_board("PCB-B", 3, ())
    untouched = first.image.copy()
    first.image[:] = 0
    assert np.array_equal(make_board("PCB-B", 3, ()).image, untouched)


@pytest.mark.parametrize("name", DESIGNS)
def test_without_a_wish_three_to_six_defects_are_planted_inside_the_image(name: str) -> None:
    for seed in range(30):
        truth = make_board(name, seed).truth
        assert 3 <= len(truth) <= 6
        assert all(defect.box.inside(IMAGE_PX, IMAGE_PX) for defect in truth)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_board_without_defects_can_be_had(name: str) -> None:
    assert make_board(name, 1, ()).truth == ()


@pytest.mark.parametrize("name", DESIGNS)
def test_planted_defects_keep_apart_so_that_each_has_its_own_box(name: str) -> None:
    for seed in range(20):
        boxes = [defect.box for defect in make_board(name, seed, tuple(DefectKind)).truth]
        overlaps = [one.iou(other) for index, one in enumerate(boxes) for other in boxes[:index]]
        assert max(overlaps) < 0.1


@pytest.mark.parametrize(("name", "kind"), EVERY_PLACE)
def test_every_kind_can_be_planted_on_every_design(name: str, kind: DefectKind) -> None:
    assert [defect.kind for defect in make_board(name, 5, (kind,)).truth] == [kind]


@pytest.mark.parametrize(("name", "kind"), EVERY_PLACE)
def test_the_box_of_a_planted_defect_is_exactly_what_changed(name: str, kind: DefectKind) -> None:
    before = design(name).copper
    rng = np.random.default_rng(11)
    for site in sites_of(name)[kind][::40]:
        after = before.copy()
        box = plant(after, kind, site, rng)
        assert (box.x, box.y, box.width, box.height) == changed_box(before, after)
        inside = (PANEL_MARGIN_PX, PANEL_PX - PANEL_MARGIN_PX)
        assert inside[0] <= box.x and box.x + box.width <= inside[1]


def test_the_truth_lies_where_the_camera_sees_the_defect() -> None:
    for seed in range(8):
        board = make_board("PCB-A", seed, (DefectKind.COPPER,))
        box = board.truth[0].box
        near = BOX_MARGIN_PX - 4  # nearer than any other copper
        window = board.image[box.y + near : box.y + box.height - near, box.x + near : box.x + box.width - near]
        seen = (cv2.GaussianBlur(window, (5, 5), 0) > 97).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(seen)
        assert max(abs(x - 4), abs(y - 4)) <= 2
        assert max(abs(width - (box.width - 2 * BOX_MARGIN_PX)), abs(height - (box.height - 2 * BOX_MARGIN_PX))) <= 2


def test_a_colour_board_has_the_brightness_of_the_grey_one() -> None:
    grey, colour = make_board("PCB-A", 2), make_board("PCB-A", 2, color_space="RGB")
    assert colour.image.shape == (IMAGE_PX, IMAGE_PX, 3)
    assert colour.truth == grey.truth
    difference = cv2.cvtColor(colour.image, cv2.COLOR_RGB2GRAY).astype(int) - grey.image
    assert np.abs(difference).max() <= 2


def test_an_unknown_design_is_refused_by_naming_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"'PCB-Z'.*PCB-A, PCB-B"):
        make_board("PCB-Z", 1)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_template_in_assets_is_the_one_the_design_draws(name: str) -> None:
    kept = cv2.imread(str(PACKAGE_ROOT / "assets" / f"{name.lower()}.png"), cv2.IMREAD_GRAYSCALE)
    assert kept is not None
    # A pixel of leeway: another OpenCV may round the softening of edges differently.
    assert np.abs(kept.astype(int) - template(name)).max() <= 1


def test_the_command_writes_one_template_for_each_design(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path_factory.mktemp("boards") / "assets"
    monkeypatch.setattr("sys.argv", ["boards", str(folder)])
    assert boards.main() == 0
    assert sorted(path.name for path in folder.iterdir()) == ["pcb-a.png", "pcb-b.png"]
    assert capsys.readouterr().out.split() == [str(folder / "pcb-a.png"), str(folder / "pcb-b.png")]
