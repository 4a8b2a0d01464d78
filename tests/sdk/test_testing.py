"""What authors test their algorithms with: it runs them as the station does, and cleans up (spec.md §1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from procvision_sdk import BaseAlgorithm, Rect, Session, read_image
from procvision_sdk.errors import InvalidResultError
from procvision_sdk.testing import DevelopmentImage, make_image, meta_of, run_once
from procvision_sdk.testing import dev_image as dev_image  # a fixture

INFO = {
    "name": "n",
    "version": "1",
    "supported_pids": ["p"],
    "steps": [
        {"index": 2, "params": [{"key": "limit", "type": "int", "default": 5}]},
        {"index": 1, "params": [{"key": "verdict", "type": "string", "default": "OK"}]},
    ],
}


class Recorder(BaseAlgorithm):
    def __init__(self) -> None:
        super().__init__()
        self.called: list[str] = []
        self.info: Any = INFO

    def setup(self) -> None:
        self.called.append("setup")

    def teardown(self) -> None:
        self.called.append("teardown")

    def reset(self, session: Session) -> None:
        self.called.append(f"reset:{session.get('seen')}")

    def get_info(self) -> Any:
        return self.info

    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        session.set("seen", [*session.get("seen", []), step_index])
        image = read_image(shared_mem_id, image_meta, as_="native")
        self.called.append(f"pre:{step_index}:{image.shape}:{image.dtype}:{sorted(user_params.items())}")
        status = "ERROR" if user_params.get("verdict") == "dark" else "OK"
        return {"status": status, "error_code": "5001" if status == "ERROR" else "", "data": {"pid": pid}}

    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,  # noqa: ARG002
        image_meta: dict[str, Any],  # noqa: ARG002
    ) -> Any:
        self.called.append(f"execute:{step_index}:{session.context}")
        if user_params.get("verdict") == "raise":
            raise SystemExit
        verdict = user_params.get("verdict", "OK")
        return {"status": "OK", "data": {"result_status": verdict, "ng_reason": pid, "defect_rects": []}}


def test_steps_run_in_order_on_one_session_and_image_and_all_is_torn_down() -> None:
    algorithm = Recorder()
    steps = run_once(algorithm, "p", make_image(8, 4), user_params={"limit": 7})
    assert [step["execute"]["data"]["result_status"] for step in steps] == ["OK", "OK"]
    assert [step["pre_execute"]["data"]["step_index"] for step in steps] == [1, 2]
    assert algorithm.called == [
        "setup",
        "pre:1:(4, 8, 3):uint8:[('verdict', 'OK')]",
        "execute:1:{'product_code': 'p'}",
        "pre:2:(4, 8, 3):uint8:[('limit', 7)]",
        "execute:2:{'product_code': 'p'}",
        "reset:[1, 2]",
        "teardown",
    ]


@pytest.mark.parametrize(
    ("pid", "user_params", "code", "executed"),
    [
        ("p", {"verdict": "NG"}, "", True),
        ("p", {"verdict": "raise"}, "1009", True),
        ("p", {"verdict": "dark"}, "5001", False),
        ("q", {}, "1001", False),
        ("p", {"vredict": "NG"}, "1006", False),
        ("p", {"verdict": 5}, "1006", False),
    ],
)
def test_an_error_or_an_ng_ends_the_run(pid: str, user_params: dict[str, Any], code: str, executed: bool) -> None:
    algorithm = Recorder()
    (step,) = run_once(algorithm, pid, make_image(8, 4), user_params=user_params)
    answer = step["execute"] if executed else step["pre_execute"]
    assert answer["error_code"] == code and (step["execute"] is not None) is executed
    assert algorithm.called[-1] == "teardown" and algorithm.called.count("teardown") == 1


def test_what_setup_or_get_info_raise_is_raised_here() -> None:
    algorithm = Recorder()
    algorithm.info = None
    with pytest.raises(InvalidResultError, match="expected a dict, got NoneType"):
        run_once(algorithm, "p", make_image(8, 4))
    assert algorithm.called == ["setup", "teardown"]


@pytest.mark.parametrize(
    ("image", "color_space", "expected"),
    [
        (np.zeros((4, 8), np.uint8), "RGB", {"color_space": "GRAY", "dtype": "uint8"}),
        (np.zeros((4, 8, 3), np.uint16), "BGR", {"color_space": "BGR", "dtype": "uint16", "channels": 3}),
        (np.zeros((4, 8, 4), np.uint8), "RGB", {"color_space": "RGB", "channels": 4}),
    ],
)
def test_the_meta_of_an_array_describes_it(image: Any, color_space: Any, expected: dict[str, Any]) -> None:
    meta = meta_of(image, color_space)
    assert {**expected, "width": 8, "height": 4}.items() <= meta.items()
    assert run_once(Recorder(), "p", image, color_space=color_space)[-1]["execute"]["status"] == "OK"


def test_an_image_has_white_spots_where_they_were_asked_for() -> None:
    image = make_image(8, 4, spots=[Rect(1, 2, 3, 1)], background=10)
    assert image.shape == (4, 8, 3) and image.flags.writeable
    assert np.argwhere(image[:, :, 0] == 255).tolist() == [[2, 1], [2, 2], [2, 3]]
    assert make_image(8, 4, channels=1).shape == (4, 8)


def test_the_fixture_puts_images_into_shared_memory(dev_image: Callable[..., DevelopmentImage]) -> None:
    first, second = dev_image(make_image(8, 4, background=1)), dev_image(make_image(6, 2, channels=1, background=2))
    assert first.shared_mem_id != second.shared_mem_id
    assert read_image(first.shared_mem_id, first.image_meta).mean() == 1
    assert read_image(second.shared_mem_id, second.image_meta, as_="native").shape == (2, 6)
