"""The older way for hosts that compress: a JPEG through a pipe, decoded at the other end.

A JPEG keeps no single pixel: the whole patch has the value, and the answer may be off by the loss.
"""

from __future__ import annotations

import io
import struct
import sys
from contextlib import ExitStack

import numpy as np
from PIL import Image, __version__

from benchmarks.slot import start
from benchmarks.stage import PATCH, Play, Setting, blocking, perform

NAME = "benchmarks.contestants.older_jpeg"
LENGTH = struct.Struct(">I")
LEVELS, STEP = 31, 8


class Jpeg:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        with setting.serving():
            process = start(stack, NAME, "serve")
        assert process.stdin is not None and process.stdout is not None
        self._asks, self._answers = process.stdin, process.stdout
        # A grey ramp with noise: an even picture would compress to nothing.
        noise = np.random.default_rng(1).integers(0, 40, setting.shape[:2], np.uint8)
        self._image = np.repeat((noise + np.linspace(0, 200, setting.shape[1], dtype=np.uint8))[:, :, None], 3, axis=2)
        self._value = 0

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._value = value
        self._image[:PATCH, :PATCH] = value % LEVELS * STEP
        encoded = io.BytesIO()
        Image.fromarray(self._image).save(encoded, "jpeg", quality=90)
        data = encoded.getvalue()
        message = memoryview(LENGTH.pack(len(data)) + data)
        while message:
            message = message[self._asks.write(message) :]

    def wait(self) -> int:
        level = round(float(self._answers.readline()) / STEP)
        return self._value if level == self._value % LEVELS else -1


def serve() -> None:
    stream = sys.stdin.buffer
    while header := stream.read(LENGTH.size):
        data = stream.read(LENGTH.unpack(header)[0])
        with Image.open(io.BytesIO(data)) as picture:
            image = np.asarray(picture)
        print(image[: PATCH - 8, : PATCH - 8].mean(), flush=True)


def open_jpeg(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Jpeg(stack, setting)), f"Pillow {__version__}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        perform(open_jpeg)
