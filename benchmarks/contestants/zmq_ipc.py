"""pyzmq, PAIR over ipc: the image is the message, sent and received without a copy of its own in Python."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.frames import look
from benchmarks.slot import start
from benchmarks.stage import MOST_IN_FLIGHT, Play, Setting, blocking, perform


class Ipc:
    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        import zmq

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = f"ipc://{folder / 'zmq'}"
        with setting.serving():
            start(stack, "benchmarks.contestants.zmq_ipc", "serve", address, *map(str, setting.shape))
        self._socket = stack.enter_context(zmq.Context()).socket(zmq.PAIR)
        stack.callback(self._socket.close, 0)
        self._socket.bind(address)
        self._images = [np.zeros(setting.shape, np.uint8) for _ in range(self.most_in_flight)]

    def submit(self, place: int, value: int) -> None:
        image = self._images[place]
        image[0, 0, 0] = value
        self._socket.send(image, copy=False)

    def wait(self) -> int:
        return int(self._socket.recv())


def serve(address: str, shape: tuple[int, ...]) -> None:
    import threading

    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as link:
        link.connect(address)
        link.linger = 0
        ended = threading.Thread(target=lambda: (sys.stdin.read(), _end()), daemon=True)
        ended.start()
        while True:
            frame = link.recv(copy=False)
            link.send(b"%d" % look(np.frombuffer(frame.buffer, np.uint8).reshape(shape)))


def _end() -> None:
    import os

    os._exit(0)


def open_ipc(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import zmq

    return blocking(Ipc(stack, setting)), f"pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], tuple(map(int, sys.argv[3:])))
    else:
        perform(open_ipc)
