"""iceoryx2: a loaned sample is the image, an event wakes the other side. A bare echo without supervision."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import ExitStack
from importlib.metadata import version
from secrets import token_hex
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.frames import look
from benchmarks.slot import start
from benchmarks.stage import Play, Setting, blocking, perform

NAME = "benchmarks.contestants.iceoryx2_echo"


class Link:
    """One direction: samples, and the event that says there is one."""

    def __init__(self, node: Any, name: str) -> None:
        import iceoryx2 as iox2

        self._iox2 = iox2
        self._samples = (
            node.service_builder(iox2.ServiceName.new(name))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .open_or_create()
        )
        self._events = node.service_builder(iox2.ServiceName.new(f"{name}-event")).event().open_or_create()

    def sending(self, nbytes: int) -> None:
        self._publisher = self._samples.publisher_builder().initial_max_slice_len(nbytes).create()
        self._notifier = self._events.notifier_builder().create()

    def receiving(self) -> None:
        self._subscriber = self._samples.subscriber_builder().create()
        self._listener = self._events.listener_builder().create()

    def loan(self, nbytes: int) -> tuple[Any, NDArray[np.uint8]]:
        sample = self._publisher.loan_slice_uninit(nbytes)
        pointer = ctypes.cast(sample.payload_ptr, ctypes.POINTER(ctypes.c_uint8))
        return sample, np.ctypeslib.as_array(pointer, (nbytes,))

    def send(self, sample: Any) -> None:
        sample.assume_init().send()
        self._notifier.notify()

    def receive(self) -> tuple[Any, NDArray[np.uint8]]:
        while (sample := self._subscriber.receive()) is None:
            self._listener.blocking_wait()
        found = sample.payload()
        pointer = ctypes.cast(sample.payload_ptr, ctypes.POINTER(ctypes.c_uint8))
        return sample, np.ctypeslib.as_array(pointer, (found.len(),))


def open_node() -> Any:
    import iceoryx2 as iox2

    iox2.set_log_level(iox2.LogLevel.Error)
    return iox2.NodeBuilder.new().create(iox2.ServiceType.Ipc)


class Echo:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        name = f"bench-{os.getpid()}-{token_hex(4)}"
        node = open_node()
        self._asks, self._answers = Link(node, f"{name}-ask"), Link(node, f"{name}-answer")
        self._asks.sending(setting.nbytes)
        self._answers.receiving()
        with setting.serving():
            process = start(stack, NAME, "serve", name, *map(str, setting.shape))
        assert process.stdout is not None
        process.stdout.readline()
        stack.callback(self._stop)
        self._nbytes = setting.nbytes

    def _stop(self) -> None:
        """A sample of one byte is no image: the other side ends, and takes its files away."""
        self._asks.send(self._asks.loan(1)[0])

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        sample, image = self._asks.loan(self._nbytes)
        image[0] = value
        self._asks.send(sample)

    def wait(self) -> int:
        sample, answer = self._answers.receive()
        patch = int(answer[:8].view(np.uint64)[0])
        sample.delete()
        return patch


def serve(name: str, shape: tuple[int, ...]) -> None:
    node = open_node()
    asks, answers = Link(node, f"{name}-ask"), Link(node, f"{name}-answer")
    asks.receiving()
    answers.sending(600)
    print("ready", flush=True)
    while True:
        sample, pixels = asks.receive()
        if len(pixels) == 1:
            return
        patch = look(pixels.reshape(shape))
        sample.delete()
        loaned, answer = answers.loan(600)
        answer[:8].view(np.uint64)[0] = patch
        answers.send(loaned)


def open_echo(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Echo(stack, setting)), f"iceoryx2 {version('iceoryx2')}"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], tuple(map(int, sys.argv[3:])))
    else:
        perform(open_echo)
