"""Does what it should: describes itself as its manifest does, and says NG for a bright image."""

import json
from pathlib import Path
from typing import Any

from procvision_sdk import BaseAlgorithm, read_image_from_shared_memory


class Algorithm(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(Path("manifest.json").read_text("utf-8"))
        return {key: told[key] for key in ("name", "version", "supported_pids", "steps")}

    def pre_execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        return {"status": "OK", "message": "ready", "data": {"calibration_rects": []}}

    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        seen = {"shape": list(image.shape), "corner": image[0, 0].tolist(), "params": user_params}
        if image.mean() < 128:
            return {"status": "OK", "data": {"result_status": "OK", **seen}}
        rect = {"x": 1, "y": 2, "width": 3, "height": 4, "label": "bright", "score": 0.5}
        return {"status": "OK", "data": {"result_status": "NG", "ng_reason": "bright", "defect_rects": [rect], **seen}}
