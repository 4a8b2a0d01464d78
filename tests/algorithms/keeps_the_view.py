"""Keeps its image beyond the call, in the way it is asked for."""

from typing import Any

from procvision_sdk import read_image, read_image_from_shared_memory
from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        image = read_image_from_shared_memory(shared_mem_id, image_meta)
        what = user_params["keep"]
        kept: dict[str, Any] = {
            "nothing": None,
            "copy": image.copy(),
            "view": image,
            "slice": image[1:2, ::-1],
            "transposed": image.T,
            "buffer": image.data,
            "closure": lambda image=image: image,
            "native": read_image(shared_mem_id, image_meta, as_="native"),
        }
        self.kept = kept.get(what)
        if what == "cycle":
            loop: list[Any] = [image]
            loop.append(loop)
        del kept, image
        return super().execute(step_index, pid, session, user_params, shared_mem_id, image_meta)
