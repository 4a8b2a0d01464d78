"""Serves well and ends badly, as PROC_TEST_HOW says, after its last call or when it is asked to."""

import atexit
import ctypes
import os
import time
from typing import Any

from procvision_sdk import FatalError
from tests.algorithms.daemon.plain import Plain, note

_HOW = os.environ["PROC_TEST_HOW"]


class Algorithm(Plain):
    def setup(self) -> None:
        if _HOW == "segfault at exit":
            atexit.register(ctypes.string_at, 0)

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "last":
            raise FatalError("the device is lost")
        return None

    def teardown(self) -> None:
        note("teardown")
        match _HOW:
            case "segfault":
                ctypes.string_at(0)
            case "raise":
                raise OSError("the device does not let go")
            case "hang":
                time.sleep(3600)
            case "fork" if os.fork() == 0:
                os.setsid()
                time.sleep(3600)
