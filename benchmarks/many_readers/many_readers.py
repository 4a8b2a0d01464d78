"""Reads one image as often as it is told, in each phase: what decoding costs must not depend on it."""

from __future__ import annotations

from typing import Any

from procvision_sdk import BaseAlgorithm, Session, read_image


class ManyReaders(BaseAlgorithm):
    def get_info(self) -> dict[str, Any]:
        readers = {"key": "readers", "type": "int", "default": 1, "min": 1, "max": 100}
        steps = [{"index": 1, "name": "look", "params": [readers]}]
        return {"name": "many_readers", "version": "1.0.0", "supported_pids": ["MANY"], "steps": steps}

    def pre_execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        _patches(user_params["readers"], shared_mem_id, image_meta)
        return {"status": "OK"}

    def execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> dict[str, Any]:
        patches = _patches(user_params["readers"], shared_mem_id, image_meta)
        return {"status": "OK", "data": {"result_status": "OK", "patches": patches}}


def _patches(readers: int, shared_mem_id: str, image_meta: dict[str, Any]) -> list[int]:
    return [int(read_image(shared_mem_id, image_meta)[:64, :64].sum()) for _ in range(readers)]
