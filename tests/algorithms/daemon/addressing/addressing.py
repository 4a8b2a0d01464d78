"""Goes to the pixels by their address, past everything that guards a view."""

import ctypes
from typing import Any

from procvision_sdk import read_image_from_shared_memory
from tests.algorithms.daemon.plain import Plain, judged_ok


class Algorithm(Plain):
    def setup(self) -> None:
        self.address = 0

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        match how:
            case "remember":
                self.address = image.ctypes.data
            case "recall":
                return judged_ok(bytes=list(ctypes.string_at(self.address, 8)))
            case "write":
                ctypes.memset(image.ctypes.data, 255, 8)
        return None
