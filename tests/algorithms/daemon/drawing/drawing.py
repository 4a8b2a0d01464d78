"""Writes to an image that it was lent to read."""

from typing import Any

from procvision_sdk import read_image_from_shared_memory
from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        if how == "unlock":
            image.flags.writeable = True
        if how != "no":
            image[0, 0] = 255
        return None
