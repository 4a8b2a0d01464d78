"""Keeps the image in itself."""

from typing import Any

from procvision_sdk import read_image_from_shared_memory
from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        self.last = read_image_from_shared_memory(shared_mem_id, image_meta)
        return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
