"""A Ray actor on this machine: the image goes through the object store."""

from __future__ import annotations

from collections import deque
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.frames import look
from benchmarks.stage import MOST_IN_FLIGHT, Play, Setting, blocking, perform


class Actor:
    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        import ray

        self._get = ray.get
        with setting.serving():
            ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False,
                     object_store_memory=max(200_000_000, setting.nbytes * 12))  # fmt: skip
            stack.callback(ray.shutdown)
            self._actor = ray.remote(Looker).remote()
            ray.get(self._actor.look.remote(np.zeros((64, 64, 3), np.uint8)))
        self._images = [np.zeros(setting.shape, np.uint8) for _ in range(self.most_in_flight)]
        self._asked: deque[Any] = deque()

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        self._asked.append(self._actor.look.remote(self._images[place]))

    def wait(self) -> int:
        patch: int = self._get(self._asked.popleft())
        return patch


class Looker:
    def look(self, image: np.ndarray) -> int:
        return look(image)


def open_actor(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import ray

    return blocking(Actor(stack, setting)), f"ray {ray.__version__}"


if __name__ == "__main__":
    perform(open_actor)
