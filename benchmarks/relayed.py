"""The host's end of a bare relay: a blocking Unix socket, as our blocking client has one."""

from __future__ import annotations

import platform
import socket
import subprocess
import sys
from collections import deque
from contextlib import ExitStack

import numpy as np

from benchmarks.frames import Cutter, patch_of, request
from benchmarks.slot import Slots
from benchmarks.stage import MOST_IN_FLIGHT, AbsentError, Play, Setting, blocking


class Relayed:
    """host -> relay -> worker and back; the images are resident."""

    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, stack: ExitStack, setting: Setting, relay: str) -> None:
        if sys.platform == "win32":
            raise AbsentError("the bare relays use Unix sockets")
        slots = Slots(stack, setting)
        self.images = slots.images
        self._socket, far = socket.socketpair()
        command = [sys.executable, "-m", relay, "--relay", *slots.arguments]
        with setting.serving(), far:
            stack.enter_context(subprocess.Popen(command, stdin=far, stdout=subprocess.DEVNULL))
        stack.callback(self._socket.close)
        self._cutter = Cutter()
        self._bodies: deque[bytes] = deque()

    def submit(self, place: int, value: int) -> None:
        self.images[place][0, 0, 0] = value
        self._socket.sendall(request(place))

    def wait(self) -> int:
        while not self._bodies:
            self._bodies += self._cutter.feed(self._socket.recv(65_536))
        return patch_of(self._bodies.popleft())


class CopiedIn(Relayed):
    """The same after one copy of the image into the slot: what a camera that owns its buffers costs.

    One in flight: the slot that became free last is the slot, which is what a pool of slots can do at best.
    """

    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting, relay: str) -> None:
        super().__init__(stack, setting, relay)
        self._image = np.zeros(setting.shape, np.uint8)

    def submit(self, place: int, value: int) -> None:
        self._image[0, 0, 0] = value
        np.copyto(self.images[place], self._image)
        self._socket.sendall(request(place))


def relayed(stack: ExitStack, setting: Setting, relay: str) -> tuple[Play, str]:
    return blocking(Relayed(stack, setting, relay)), f"Python {platform.python_version()}"


def copied_in(stack: ExitStack, setting: Setting, relay: str) -> tuple[Play, str]:
    return blocking(CopiedIn(stack, setting, relay)), f"Python {platform.python_version()}, numpy {np.__version__}"
