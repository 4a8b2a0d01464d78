"""Remembers something in step 1; a test ends its process; step 2 reads it."""

from typing import Any

from procvision_sdk import Session
from tests.algorithms.daemon.plain import Plain, happens_first_time, judged_ok


class Algorithm(Plain):
    def execute(
        self,
        step_index: int,
        pid: str,
        session: Session,
        user_params: dict[str, Any],
        shared_mem_id: str,
        image_meta: dict[str, Any],
    ) -> Any:
        if step_index == 1:
            session.set("found", {"dx": 3})
            return judged_ok()
        tries = session.get("tries", 0) + 1
        session.set("tries", tries)
        if session.context.get("crash") and happens_first_time("crash"):
            import os

            os.abort()
        return judged_ok(found=session.get("found"), tries=tries)
