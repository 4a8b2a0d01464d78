"""The hooks, called as a runner calls them: both steps on one image and one session."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from pcb_inspection.algorithm import PACKAGE_ROOT, PcbInspection
from pcb_inspection.boards import ColorSpace, make_board
from pcb_inspection.defects import DefectKind
from pcb_inspection.designs import DESIGNS
from pcb_inspection.products import load_product
from pcb_inspection.registration import Registration

from procvision_sdk import ModelNotFoundError, Session
from procvision_sdk.errors import InvalidParamsError, InvalidPidError
from procvision_sdk.manifest import load
from procvision_sdk.testing import run_once

Picture = NDArray[np.uint8] | NDArray[np.uint16]


@pytest.fixture
def algorithm() -> PcbInspection:
    ready = PcbInspection()
    ready.setup()
    return ready


def test_the_manifest_is_accepted_and_get_info_says_the_same() -> None:
    manifest, info = load(PACKAGE_ROOT), PcbInspection().get_info()
    assert (info["name"], info["version"]) == (manifest.name, manifest.version)
    assert set(info["supported_pids"]) == set(manifest.supported_pids) == set(DESIGNS)
    assert [step["index"] for step in info["steps"]] == [step.index for step in manifest.steps] == [1, 2]


@pytest.mark.parametrize("color_space", ["GRAY", "RGB"])
@pytest.mark.parametrize("pid", DESIGNS)
def test_a_clean_board_is_located_and_then_ok(pid: str, color_space: ColorSpace) -> None:
    board = make_board(pid, 3, (), color_space)
    located, inspected = run_once(PcbInspection(), pid, board.image, color_space=color_space)
    assert located["execute"]["data"]["result_status"] == "OK"
    assert located["execute"]["data"]["agreement"] > 0.97
    assert [rect["label"] for rect in located["execute"]["data"]["position_rects"]] == ["board"]
    assert inspected["execute"]["data"]["result_status"] == "OK"
    assert inspected["execute"]["data"]["defect_rects"] == []


@pytest.mark.parametrize("pid", DESIGNS)
def test_a_board_with_planted_defects_is_ng_with_each_of_them_named(pid: str) -> None:
    board = make_board(pid, 3, tuple(DefectKind))
    data = run_once(PcbInspection(), pid, board.image, color_space="GRAY")[-1]["execute"]["data"]
    assert data["result_status"] == "NG"
    assert data["ng_reason"] == "6 defects: 1 copper, 1 mousebite, 1 open, 1 pin-hole, 1 short, 1 spur"
    assert sorted(rect["label"] for rect in data["defect_rects"]) == sorted(DefectKind)
    for rect in data["defect_rects"]:
        (known,) = (defect.box for defect in board.truth if defect.kind == rect["label"])
        assert abs(rect["x"] - known.x) <= 4 and abs(rect["y"] - known.y) <= 4


def test_what_the_host_asks_for_overrules_the_recipe() -> None:
    board = make_board("PCB-A", 3, tuple(DefectKind))
    asked = run_once(PcbInspection(), "PCB-A", board.image, user_params={"min_area_px": 4000}, color_space="GRAY")
    assert asked[-1]["execute"]["data"]["result_status"] == "OK"


@pytest.mark.parametrize(
    ("what", "image", "code"),
    [
        ("another product", make_board("PCB-B", 1, ()).image, "5002"),
        ("no light", np.full((640, 640), 6, np.uint8), "5001"),
        ("another resolution", make_board("PCB-A", 1, ()).image[:480], "1002"),
        ("16 bit", make_board("PCB-A", 1, ()).image.astype(np.uint16), "1002"),
    ],
)
def test_a_picture_that_cannot_be_judged_is_an_error_and_no_verdict(what: str, image: Picture, code: str) -> None:
    steps = run_once(PcbInspection(), "PCB-A", image, color_space="GRAY")
    answers = [answer for step in steps for answer in step.values() if answer is not None]
    assert answers[-1]["status"] == "ERROR", what
    assert answers[-1]["error_code"] == code
    assert all("result_status" not in answer["data"] for answer in answers)


def test_step_2_without_step_1_says_so(algorithm: PcbInspection) -> None:
    answer = algorithm.pre_execute(2, "PCB-A", Session("s", {}), {}, "unused", {}).to_dict()
    assert (answer["status"], answer["error_code"]) == ("ERROR", "5003")
    assert "run step 1 first" in answer["message"]


def test_a_product_without_template_is_refused_by_name(algorithm: PcbInspection) -> None:
    with pytest.raises(InvalidPidError, match=r"'PCB-Z'.*PCB-A"):
        algorithm.execute(1, "PCB-Z", Session("s", {}), {}, "unused", {})


def test_a_third_step_does_not_exist(algorithm: PcbInspection) -> None:
    with pytest.raises(InvalidParamsError, match="expected 1 or 2, got 3"):
        algorithm.execute(3, "PCB-A", Session("s", {}), {}, "unused", {})


def test_a_missing_template_stops_setup_with_a_hint() -> None:
    with pytest.raises(ModelNotFoundError, match=r"template of PCB-A cannot be read: .*gone\.png") as refused:
        load_product("PCB-A", PACKAGE_ROOT, {"template": "assets/gone.png", "recipe": "assets/pcb-a.json"})
    assert "pcb_inspection.boards" in refused.value.hint


def test_the_session_stays_far_below_its_bound() -> None:
    class Peeking(PcbInspection):
        size = 0

        def on_step_finish(self, step_index: int, session: Session, result: dict[str, object]) -> None:
            super().on_step_finish(step_index, session, result)
            self.size = max(self.size, len(json.dumps(session.get("registration"))))

    peeking = Peeking()
    run_once(peeking, "PCB-A", make_board("PCB-A", 2).image, color_space="GRAY")
    assert 0 < peeking.size < 20_000


def test_a_board_that_moved_between_the_steps_is_an_error_and_not_a_hundred_defects() -> None:
    class Nudged(PcbInspection):
        def on_step_finish(self, step_index: int, session: Session, result: dict[str, object]) -> None:
            super().on_step_finish(step_index, session, result)
            found = Registration.from_json(session.get("registration"))
            session.set("registration", Registration(found.shift, found.offsets + np.int8(20)).to_json())

    answer = run_once(Nudged(), "PCB-B", make_board("PCB-B", 2, ()).image, color_space="GRAY")[-1]["execute"]
    assert (answer["status"], answer["error_code"]) == ("ERROR", "5002")
