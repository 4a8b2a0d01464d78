"""multiprocessing.Pool of one process: what most people write first."""

from __future__ import annotations

import multiprocessing
import platform
from collections import deque
from contextlib import ExitStack
from multiprocessing.pool import AsyncResult

import numpy as np

from benchmarks.frames import look
from benchmarks.stage import MOST_IN_FLIGHT, Play, Setting, blocking, perform


class Pool:
    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        with setting.serving():
            self._pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))
        self._images = [np.zeros(setting.shape, np.uint8) for _ in range(self.most_in_flight)]
        self._asked: deque[AsyncResult[int]] = deque()

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        self._asked.append(self._pool.apply_async(look, (self._images[place],)))

    def wait(self) -> int:
        return self._asked.popleft().get()


def open_pool(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Pool(stack, setting)), f"Python {platform.python_version()}"


if __name__ == "__main__":
    perform(open_pool)
