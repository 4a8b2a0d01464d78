"""Crashes like `crashing`, but its manifest says that a call must not be repeated."""

import os
from typing import Any

from tests.algorithms.daemon.plain import Plain, note


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "exit":
            note("crashed")
            os._exit(3)
        return None
