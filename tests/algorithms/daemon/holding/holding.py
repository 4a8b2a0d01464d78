"""One call into C that does not let go of the interpreter: no thread of this process runs meanwhile."""

import ctypes
from typing import Any

from procvision_sdk import Session
from tests.algorithms.daemon.plain import Plain, judged_ok

_C = ctypes.PyDLL(None)


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
        # usleep takes less than a second at a time; between two calls nobody else gets the interpreter.
        for _ in range(user_params["hold_ms"] // 500):
            _C.usleep(500_000)
        _C.usleep(user_params["hold_ms"] % 500 * 1000)
        return judged_ok()
