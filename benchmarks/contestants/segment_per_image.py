"""A new multiprocessing.SharedMemory for each image: made, filled, named through a pipe, attached, unlinked."""

from __future__ import annotations

import multiprocessing
import platform
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

import numpy as np

from benchmarks.frames import look
from benchmarks.stage import Play, Setting, blocking, perform


class Segments:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        started = multiprocessing.get_context("spawn")
        self._link, far = started.Pipe()
        process = started.Process(target=serve, args=(far, setting.shape))
        with setting.serving():
            process.start()
        far.close()
        stack.callback(process.join)
        stack.callback(self._link.close)
        self._image = np.zeros(setting.shape, np.uint8)
        self._memory: SharedMemory

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._image[0, 0, 0] = value
        self._memory = SharedMemory(create=True, size=self._image.nbytes)
        np.ndarray(self._image.shape, np.uint8, self._memory.buf)[:] = self._image
        self._link.send(self._memory.name)

    def wait(self) -> int:
        patch: int = self._link.recv()
        self._memory.close()
        self._memory.unlink()
        return patch


def serve(link: Connection, shape: tuple[int, int, int]) -> None:
    while True:
        try:
            memory = SharedMemory(link.recv())
        except EOFError:
            return
        patch = look(np.ndarray(shape, np.uint8, memory.buf))
        memory.close()
        link.send(patch)


def open_segments(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Segments(stack, setting)), f"Python {platform.python_version()}"


if __name__ == "__main__":
    perform(open_segments)
