"""Returns what is no result."""

from typing import Any

import numpy as np

from tests.algorithms import quiet


def _verdict(**data: Any) -> dict[str, Any]:
    return {"status": "OK", "data": {"result_status": "OK", **data}}


async def _coroutine() -> None:
    return None


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        rects = [{"x": 0, "y": 0, "width": 1, "height": 1} for _ in range(4)]
        coroutine = _coroutine()
        coroutine.close()
        returned: dict[str, Any] = {
            "none": None,
            "list": [],
            "coroutine": coroutine,
            "no verdict": {"status": "OK", "data": {}},
            "misspelt": {"status": "ok", "data": {"result_status": "OK"}},
            "nan": _verdict(defect_rects=[*rects[:3], {**rects[3], "score": float("nan")}]),
            "bytes": _verdict(pixels=b""),
            "outside": _verdict(defect_rects=[{"x": 7, "y": 0, "width": 2, "height": 1}]),
            "large": _verdict(values=[0] * 10**6),
            "long": _verdict(text="x" * 10_000_000),
            "own phase": _verdict(phase="pre", step_index=99, latency_ms=-1),
            "numpy": _verdict(defect_rects=[{k: np.int64(v) for k, v in rects[0].items()}], mean=np.float32(0.5)),
        }
        return returned[user_params["what"]]
