"""An inspection that costs nothing: the sum of a 64x64 patch proves that this image was seen."""

from __future__ import annotations

from typing import Any

from procvision_sdk import BaseAlgorithm, Session, read_image


class NullAlgorithm(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        steps = [{"index": 1, "name": "look"}]
        return {"name": "null_algorithm", "version": "1.0.0", "supported_pids": ["NULL"], "steps": steps}

    def pre_execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],  # noqa: ARG002
        shared_mem_id: str,  # noqa: ARG002
        image_meta: dict[str, Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        return {"status": "OK"}

    def execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],  # noqa: ARG002
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        image = read_image(shared_mem_id, image_meta)
        return {"status": "OK", "data": {"result_status": "OK", "patch": int(image[:64, :64].sum())}}
