"""Tells what the process may use up, as it was before this module ran, and asks for memory and descriptors."""

import os
import resource
from pathlib import Path
from typing import Any

from tests.algorithms import quiet

KINDS = ("CORE", "DATA", "NOFILE", "NPROC")
LIMITS = {kind: resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in KINDS}
OOM_SCORE = int(Path("/proc/self/oom_score_adj").read_text("ascii"))


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        match user_params.get("how"):
            case "allocate":
                bytearray(user_params["bytes"])
            case "open":
                opened = [os.dup(0) for _ in range(user_params["files"])]
                for descriptor in opened:
                    os.close(descriptor)
            case "fork":
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)
        return {"status": "OK", "data": {"result_status": "OK", "limits": LIMITS, "oom_score": OOM_SCORE}}
