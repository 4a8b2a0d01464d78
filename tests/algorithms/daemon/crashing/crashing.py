"""Ends its own process in the middle of a call, in each of the ways there are."""

import ctypes
import os
from typing import Any

from tests.algorithms.daemon.plain import Plain, happens_first_time


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "exit":
                os._exit(0)
            case "exit_once" if happens_first_time("crash"):
                os._exit(7)
        return None
