"""The limit: two CPython processes, two pipes, 600 bytes each way, the image resident in shared memory."""

from __future__ import annotations

import os
import platform
import struct
import sys
from contextlib import ExitStack

from benchmarks.frames import images, look
from benchmarks.slot import Slots, start
from benchmarks.stage import MOST_IN_FLIGHT, Play, Setting, blocking, perform
from procvision_sdk import segment

MESSAGE = struct.Struct("=Q592x")


class Pipe:
    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        slots = Slots(stack, setting)
        with setting.serving():
            process = start(stack, "benchmarks.contestants.limit", *slots.arguments)
        assert process.stdin is not None and process.stdout is not None
        self._images = slots.images
        self._writing, self._reading = process.stdin.fileno(), process.stdout.fileno()

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        os.write(self._writing, MESSAGE.pack(place))

    def wait(self) -> int:
        patch: int = MESSAGE.unpack(os.read(self._reading, MESSAGE.size))[0]
        return patch


def serve() -> None:
    name, *numbers = sys.argv[1:]
    height, width, channels, count = map(int, numbers)
    found = images(segment.attach(name), (height, width, channels), count)
    while data := os.read(0, MESSAGE.size):
        os.write(1, MESSAGE.pack(look(found[MESSAGE.unpack(data)[0]])))


def open_pipe(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Pipe(stack, setting)), f"Python {platform.python_version()}"


if __name__ == "__main__":
    if sys.argv[1].startswith("--"):
        perform(open_pipe)
    else:
        serve()
