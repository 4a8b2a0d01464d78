"""multiprocessing.Pipe: the image is pickled through it."""

from __future__ import annotations

import multiprocessing
import platform
from contextlib import ExitStack
from multiprocessing.connection import Connection

import numpy as np

from benchmarks.frames import look
from benchmarks.stage import Play, Setting, blocking, perform


class Pipe:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        started = multiprocessing.get_context("spawn")
        self._link, far = started.Pipe()
        process = started.Process(target=serve, args=(far,))
        with setting.serving():
            process.start()
        far.close()
        stack.callback(process.join)
        stack.callback(self._link.close)
        self._image = np.zeros(setting.shape, np.uint8)

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._image[0, 0, 0] = value
        self._link.send(self._image)

    def wait(self) -> int:
        patch: int = self._link.recv()
        return patch


def serve(link: Connection) -> None:
    while True:
        try:
            link.send(look(link.recv()))
        except EOFError:
            return


def open_pipe(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Pipe(stack, setting)), f"Python {platform.python_version()}"


if __name__ == "__main__":
    perform(open_pipe)
