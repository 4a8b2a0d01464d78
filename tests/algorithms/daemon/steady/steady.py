"""Two steps that read their image and write down in the session which hooks have run."""

import os
from typing import Any

from procvision_sdk import Session, read_image_from_shared_memory
from tests.algorithms.daemon.plain import Plain, judged_ok, note, wait_at


class Algorithm(Plain):
    def setup(self) -> None:
        note("setup")

    def teardown(self) -> None:
        note("teardown")

    def reset(self, session: Session) -> None:
        note(f"reset-{session.id}")

    def pre_execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        _write_down(session, f"pre{step_index}")
        total = int(read_image_from_shared_memory(shared_mem_id, image_meta).sum())
        if user_params.get("verdict") == "PRE_ERROR":
            return {"status": "ERROR", "message": "not lit", "error_code": "1003"}
        return {"status": "OK", "message": "lit", "data": {"total": total, "os_pid": os.getpid()}}

    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        _write_down(session, f"execute{step_index}")
        gate = user_params["gate" if step_index == 1 else "second_gate"]
        if gate:
            wait_at(gate)
        total = int(read_image_from_shared_memory(shared_mem_id, image_meta).sum())
        data = {"total": total, "trail": session.get("trail"), "context": session.context, "given": user_params}
        match user_params.get("verdict"):
            case "NG":
                rect = {"x": 1, "y": 2, "width": 3, "height": 4, "label": "spot", "score": 0.9}
                verdict = {"result_status": "NG", "ng_reason": "a spot", "defect_rects": [rect]}
                return {"status": "OK", "data": {**data, **verdict}}
            case "ERROR":
                return {"status": "ERROR", "message": "no model", "error_code": "1003"}
            case "RAISE":
                raise LookupError("nothing found")
        return judged_ok(**data)


def _write_down(session: Session, word: str) -> None:
    session.set("trail", [*session.get("trail", []), word])
