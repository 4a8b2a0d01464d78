"""For an author's own tests: images, and a run of an algorithm as the station runs it, without a station.

    def test_a_scratch_is_ng():
        steps = run_once(MyAlgorithm(), "A01", make_image(640, 480, spots=[Rect(10, 10, 5, 5)]))
        assert steps[-1]["execute"]["data"]["result_status"] == "NG"

`run_once` goes through the same hooks, checks and session as the adapter process does, in this process.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from procvision_sdk.adapter.hooks import Hooks
from procvision_sdk.algorithm import BaseAlgorithm
from procvision_sdk.geometry import Rect
from procvision_sdk.shared_memory import dev_clear_shared_memory, write_image_array_to_shared_memory
from procvision_sdk.wire.calls import Call, Phase, SessionRef

ColorSpace = Literal["RGB", "BGR", "GRAY"]


@dataclass(frozen=True, slots=True)
class DevelopmentImage:
    """An image in shared memory: the two arguments that hooks and readers take."""

    shared_mem_id: str
    image_meta: dict[str, Any]


def make_image(
    width: int, height: int, *, background: int = 96, spots: Sequence[Rect] = (), channels: Literal[1, 3] = 3
) -> NDArray[np.uint8]:
    """An even picture with white spots: (height, width, 3), or (height, width) with one channel; uint8, writable."""
    image = np.full((height, width), background, np.uint8)
    for spot in spots:
        image[spot.y : spot.y + spot.height, spot.x : spot.x + spot.width] = 255
    return image if channels == 1 else np.repeat(image[:, :, None], 3, axis=2)


def meta_of(image: NDArray[Any], color_space: ColorSpace = "RGB") -> dict[str, Any]:
    """The image_meta (spec.md §3) of an array; one with two axes is GRAY, whatever is said."""
    meta: dict[str, Any] = {
        "width": image.shape[1],
        "height": image.shape[0],
        "timestamp_ms": int(time.time() * 1000),
        "camera_id": "test",
        "color_space": "GRAY" if image.ndim == 2 else color_space,
        "dtype": str(image.dtype),
    }
    return meta if image.ndim == 2 else {**meta, "channels": image.shape[2]}


def run_once(
    algorithm: BaseAlgorithm,
    pid: str,
    image: NDArray[Any],
    *,
    user_params: Mapping[str, Any] | None = None,
    color_space: ColorSpace = "RGB",
) -> list[dict[str, Any]]:
    """`{"pre_execute": answer, "execute": answer}` for each step, in order, on one session and one image.

    An answer is a dict of status, message, error_code, data, diagnostics ... as a host gets it. The first ERROR or NG
    ends the run; `execute` is None where pre_execute was not OK. The algorithm is set up before and torn down after;
    what its setup raises is raised here. Each step is given those of `user_params` that it declares.
    """
    hooks = Hooks(algorithm)
    shared_mem_id = f"run-once-{secrets.token_hex(8)}"
    write_image_array_to_shared_memory(shared_mem_id, image)
    try:
        info = hooks.setup()
        session = SessionRef(id=shared_mem_id, context={"product_code": pid})
        asked = Call(pid=pid, session=session, shared_mem_id=shared_mem_id, image_meta=meta_of(image, color_space))
        answers = []
        for index, given in _steps(info, user_params or {}):
            step = msgspec.structs.replace(asked, step_index=index, user_params=given)
            answers.append(_attempt(hooks, step))
            if not _may_go_on(answers[-1]):
                break
        hooks.answer(msgspec.structs.replace(asked, phase="reset"))
        return answers
    finally:
        hooks.teardown()
        dev_clear_shared_memory(shared_mem_id)


def _steps(info: Mapping[str, Any], user_params: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each step with its parameters; what no step declares goes to all, so that it is refused and not lost."""
    declared = {step["index"]: [one["key"] for one in step.get("params", ())] for step in info.get("steps", ())}
    known = {key for keys in declared.values() for key in keys}
    for index, keys in sorted(declared.items()):
        yield index, {key: value for key, value in user_params.items() if key in keys or key not in known}


def _attempt(hooks: Hooks, step: Call) -> dict[str, Any]:
    prepared = _answer(hooks, step, "pre")
    return {"pre_execute": prepared, "execute": _answer(hooks, step, "execute") if prepared["status"] == "OK" else None}


def _answer(hooks: Hooks, step: Call, phase: Phase) -> dict[str, Any]:
    answer = hooks.answer(msgspec.structs.replace(step, phase=phase)).to_wire()
    del answer["type"]
    return answer


def _may_go_on(step: Mapping[str, Any]) -> bool:
    inspected = step["execute"]
    return inspected is not None and inspected["data"].get("result_status") == "OK"


@pytest.fixture
def dev_image() -> Iterator[Callable[..., DevelopmentImage]]:
    """`dev_image(array, color_space="RGB")` puts an array into shared memory until the test ends."""
    ids: list[str] = []

    def put(image: NDArray[Any], color_space: ColorSpace = "RGB") -> DevelopmentImage:
        ids.append(f"dev-image-{secrets.token_hex(8)}")
        write_image_array_to_shared_memory(ids[-1], image)
        return DevelopmentImage(ids[-1], meta_of(image, color_space))

    yield put
    for shared_mem_id in ids:
        dev_clear_shared_memory(shared_mem_id)
