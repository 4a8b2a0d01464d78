"""An algorithm that never returns when it is told to; part of `procvision demo`."""

from __future__ import annotations

from threading import Event
from typing import Any

from procvision_sdk import BaseAlgorithm, ExecuteResult, PreExecuteResult, Session, read_image


class HangsOnRequest(BaseAlgorithm):
    """Says OK, or waits for ever."""

    def get_info(self) -> dict[str, Any]:
        params = [{"key": "hang", "type": "bool", "default": False}]
        steps = [{"index": 1, "name": "hang or not", "params": params}]
        return {"name": "demo_hang", "version": "1.0.0", "supported_pids": ["DEMO-HANG"], "steps": steps}

    def pre_execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],  # noqa: ARG002
        shared_mem_id: str,  # noqa: ARG002
        image_meta: dict[str, Any],  # noqa: ARG002
    ) -> PreExecuteResult:
        return PreExecuteResult.ready()

    def execute(
        self,
        step_index: int,  # noqa: ARG002
        pid: str,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> ExecuteResult:
        if user_params["hang"]:
            Event().wait()
        return ExecuteResult.ok(mean=float(read_image(shared_mem_id, image_meta).mean()))
