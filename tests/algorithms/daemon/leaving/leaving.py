"""Starts a process that leaves the worker's group and outlives it, then ends its own process or goes on."""

import os
import subprocess
from typing import Any

from tests.algorithms.daemon.plain import Plain, note


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
        note(str(child.pid))
        if how == "exit":
            os._exit(3)
        return None
