"""LitServe, one worker: the image is the body of a POST, on a connection that stays open."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib.metadata import version

import numpy as np

from benchmarks.stage import Play, Setting, blocking, perform

SERVER = "benchmarks.services.litserve_looker"
START_S = 60.0


class Http:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", SERVER, str(port), *map(str, setting.shape)]
        with setting.serving():
            server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True))
        stack.callback(_end, server)
        self._link = http.client.HTTPConnection("127.0.0.1", port)
        stack.callback(self._link.close)
        self._image = np.zeros(setting.shape, np.uint8)
        self._await_start(server)

    def _await_start(self, server: subprocess.Popen[bytes]) -> None:
        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up and server.poll() is None:
            try:
                self._link.request("GET", "/health")
                answer = self._link.getresponse()
                answer.read()
                if answer.status == 200:
                    return
            except OSError:
                self._link.close()
            time.sleep(0.1)
        raise TimeoutError("the LitServe server did not become healthy")

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        self._image[0, 0, 0] = value
        body = memoryview(self._image).cast("B")
        self._link.request("POST", "/predict", body, {"Content-Type": "application/octet-stream"})

    def wait(self) -> int:
        told = json.loads(self._link.getresponse().read())
        if "patch" not in told:
            raise ValueError(f"LitServe answered {told}")
        patch: int = told["patch"]
        return patch


def _end(server: subprocess.Popen[bytes]) -> None:
    """The server and the workers it has started: asked alone, it leaves them behind."""
    if sys.platform == "win32":
        server.kill()
    else:
        os.killpg(server.pid, signal.SIGKILL)


def open_http(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import litserve  # noqa: F401 - absent is said before anything is started

    return blocking(Http(stack, setting)), f"litserve {version('litserve')}"


if __name__ == "__main__":
    perform(open_http)
