"""Declares one parameter, and speaks through logger and diagnostics."""

from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def get_info(self) -> dict[str, Any]:
        params = [{"key": "threshold", "type": "int", "default": 200, "min": 0, "max": 255}]
        return {**super().get_info(), "steps": [{"index": 1, "params": params}]}

    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        self.logger.info("looking", threshold=user_params["threshold"])
        self.diagnostics.publish("threshold", user_params["threshold"])
        return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
