"""Keeps what it was only lent; a copy may be kept."""

from typing import Any

from procvision_sdk import read_image_from_shared_memory
from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def setup(self) -> None:
        self.kept: list[Any] = []

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        match how:
            case "view":
                self.kept.append(image)
            case "slice":
                self.kept.append(image[2:9, ::2, 0].T)
            case "closure":
                self.kept.append(lambda: image)
            case "copy":
                self.kept.append(image.copy())
        return None
