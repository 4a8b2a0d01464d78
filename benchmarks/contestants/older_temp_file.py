"""The older way: the array in a file of the temp folder, its path in a JSON line through a pipe."""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.frames import look
from benchmarks.slot import start
from benchmarks.stage import Play, Setting, blocking, perform

NAME = "benchmarks.contestants.older_temp_file"


class TempFile:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._path = folder / "image.npy"
        with setting.serving():
            process = start(stack, NAME, "serve")
        assert process.stdin is not None and process.stdout is not None
        self._asks, self._answers = process.stdin, process.stdout
        self._image = np.zeros(setting.shape, np.uint8)

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._image[0, 0, 0] = value
        np.save(self._path, self._image)
        self._asks.write(json.dumps({"path": str(self._path)}).encode() + b"\n")

    def wait(self) -> int:
        patch: int = json.loads(self._answers.readline())["patch"]
        return patch


def serve() -> None:
    for line in sys.stdin:
        print(json.dumps({"patch": look(np.load(json.loads(line)["path"]))}), flush=True)


def open_file(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(TempFile(stack, setting)), f"numpy {np.__version__}, Python {platform.python_version()}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        perform(open_file)
