"""Forks; the child forgets what it is and comes back out of the hook."""

import os
from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            quiet.note(f"child:{status}")
        elif user_params["child"] == "raises":
            raise RuntimeError("in the child")
        return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
