"""Takes long in native code that keeps the interpreter to itself, and then judges all the same."""

import ctypes
import time
from typing import Any

from tests.algorithms.daemon.plain import Plain

_LONG_S = 1.2


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "native":
                ctypes.PyDLL(None).usleep(int(_LONG_S * 1_000_000))
            case "waiting":  # as long, and others may run meanwhile
                time.sleep(_LONG_S)
        return None
