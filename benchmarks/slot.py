"""Images that stay where a camera wrote them, and the process that looks at them."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from secrets import token_hex

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import images
from benchmarks.stage import MOST_IN_FLIGHT, Setting
from procvision_sdk import segment

Images = list[NDArray[np.uint8]]


class Slots:
    """A segment with one image for each request in flight, written once: its pages are there."""

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        self.name = f"bench-{os.getpid()}-{token_hex(4)}"
        self.arguments = [self.name, *map(str, setting.shape), str(MOST_IN_FLIGHT)]
        mapping = segment.create(self.name, setting.nbytes * MOST_IN_FLIGHT)
        stack.callback(segment.unlink, self.name)
        self.images: Images = images(memoryview(mapping), setting.shape, MOST_IN_FLIGHT)
        for image in self.images:
            image[:] = 0


def start(stack: ExitStack, module: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A process of the service with pipes; it ends when its input does."""
    command = [sys.executable, "-m", module, *arguments]
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
    assert process.stdin is not None
    stack.callback(process.stdin.close)
    return process
