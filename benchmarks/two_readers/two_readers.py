"""Four reads of one image, two in each phase: what decoding costs must not depend on it."""

from __future__ import annotations

from typing import Any

from procvision_sdk import BaseAlgorithm, Session, read_image


class TwoReaders(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        steps = [{"index": 1, "name": "look"}]
        return {"name": "two_readers", "version": "1.0.0", "supported_pids": ["TWICE"], "steps": steps}

    def pre_execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],  # noqa: ARG002
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        _patch(shared_mem_id, image_meta)
        _patch(shared_mem_id, image_meta)
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
        _patch(shared_mem_id, image_meta)
        patch = _patch(shared_mem_id, image_meta)
        return {"status": "OK", "data": {"result_status": "OK", "patch": patch}}


def _patch(shared_mem_id: str, image_meta: dict[str, Any]) -> int:
    return int(read_image(shared_mem_id, image_meta)[:64, :64].sum())
