"""Triton through its Python package: gRPC for the request, the image in a region of system shared memory."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version
from secrets import token_hex
from typing import Any

import numpy as np

from benchmarks.stage import Play, Setting, blocking, perform

START_S = 90.0


class Grpc:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        import tritonclient.grpc as grpc
        import tritonclient.utils.shared_memory as shared

        ports = [_free_port() for _ in range(3)]
        command = [sys.executable, "-m", "benchmarks.services.triton_looker", *map(str, (*ports, *setting.shape))]
        with setting.serving():
            server = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2))
        stack.callback(server.terminate)
        self._client = grpc.InferenceServerClient(f"127.0.0.1:{ports[1]}")
        stack.callback(self._client.close)
        self._await_start(server)
        name = f"bench-{os.getpid()}-{token_hex(4)}"
        region = shared.create_shared_memory_region(name, f"/{name}", setting.nbytes)
        stack.callback(shared.destroy_shared_memory_region, region)
        shared.set_shared_memory_region(region, [np.zeros(setting.shape, np.uint8)])
        self._image = shared.get_contents_as_numpy(region, np.uint8, setting.shape)
        self._client.register_system_shared_memory(name, f"/{name}", setting.nbytes)
        stack.callback(self._client.unregister_system_shared_memory, name)
        self._asked = grpc.InferInput("image", [1, *setting.shape], "UINT8")
        self._asked.set_shared_memory(name, setting.nbytes)
        self._seen = 0

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._image[0, 0, 0] = value
        self._seen = int(self._client.infer("looker", [self._asked]).as_numpy("patch").item())

    def wait(self) -> int:
        return self._seen

    def _await_start(self, server: subprocess.Popen[bytes]) -> None:
        from tritonclient.utils import InferenceServerException

        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up and server.poll() is None:
            try:
                if self._client.is_model_ready("looker"):
                    return
            except InferenceServerException:
                time.sleep(0.1)
            time.sleep(0.2)
        raise TimeoutError(f"the Triton server did not become ready (exit {server.poll()})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: Any = probe.getsockname()[1]
        return int(port)


def open_grpc(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import pytriton  # noqa: F401 - absent is said before anything is started

    told = f"nvidia-pytriton {version('nvidia-pytriton')}, tritonclient {version('tritonclient')}"
    return blocking(Grpc(stack, setting)), told


if __name__ == "__main__":
    perform(open_grpc)
