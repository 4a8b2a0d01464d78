"""Reads its image in both hooks and tells its mean; `on_missing` as the host likes."""

from typing import Any

from procvision_sdk import read_image
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def pre_execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        on_missing = user_params.get("in_pre_execute", user_params.get("on_missing", "raise"))
        mean = float(read_image(shared_mem_id, image_meta, on_missing=on_missing).mean())
        return {"status": "OK", "data": {"mean": mean}}

    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        if "in_pre_execute" in user_params:
            return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
        image = read_image(shared_mem_id, image_meta, on_missing=user_params.get("on_missing", "raise"))
        if "gate" in user_params:
            quiet.wait_at(user_params["gate"])
        verdict = {"result_status": user_params.get("verdict", "OK"), "ng_reason": "asked for", "defect_rects": []}
        return {
            "status": "OK",
            "data": {**verdict, "mean": float(image.mean()), "color_space": image_meta["color_space"]},
        }
