"""Tells what its image is mapped from; `sabotaged` has the SDK copy an image that needs no copy."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

from procvision_sdk import read_image, shared_memory
from procvision_sdk.image import Pixels, in_order
from tests.algorithms.daemon.plain import Plain, judged_ok


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "sabotaged":
            with patch.object(shared_memory, "in_order", lambda *order: in_order(*order).copy()):
                image = read_image(shared_mem_id, image_meta)
        else:
            image = read_image(shared_mem_id, image_meta, as_=how)  # type: ignore[arg-type]
        return judged_ok(total=int(image.sum()), mapped_from=_mapped_from(image))


def _mapped_from(image: Pixels) -> str:
    """The name of the mapping in which all of the image lies."""
    address = image.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        begin, _, end = line.partition(" ")[0].partition("-")
        if int(begin, 16) <= address < int(end, 16):
            return line[73:].strip()
    raise LookupError(f"nothing is mapped at {address:#x}")
