"""Draws on its image without a copy."""

from typing import Any

from procvision_sdk import read_image_from_shared_memory
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        if user_params["what"] == "slip":
            raise KeyError("key")
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        if user_params["what"] == "force":
            image.flags.writeable = True
        image[0, 0] = 255
        return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
