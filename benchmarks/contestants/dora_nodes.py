"""dora-rs: two nodes of a dataflow; the image is written into a buffer of dora's own, nothing is copied.

This process is a dynamic node of the dataflow, the one that looks is started by dora.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.stage import Play, Setting, blocking, perform

START_S = 30.0
# Images that the pool of the sending node holds: dora's own 8 MB hold none of L, and an image outside it is copied.
POOLED = 4
FLOW = """
nodes:
  - id: host
    path: dynamic
    inputs:
      answer: {{source: looker/answer, queue_size: 10}}
    outputs: [image]
    shared_memory_pool_size: {pool}
  - id: looker
    path: {python}
    args: -m benchmarks.services.dora_looker {shape}
    inputs:
      image: {{source: host/image, queue_size: 10}}
    outputs: [answer]
"""


class Nodes:
    most_in_flight = 1

    def __init__(self, stack: ExitStack, setting: Setting) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flow = folder / "flow.yml"
        shape, pool = " ".join(map(str, setting.shape)), POOLED * setting.nbytes
        flow.write_text(FLOW.format(python=sys.executable, shape=shape, pool=pool), encoding="utf-8")
        command = [sys.executable, "-c", f"import dora; dora.run({str(flow)!r})"]
        with setting.serving():
            running = stack.enter_context(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=2, stderr=2))
        stack.callback(running.terminate)
        self._node = _joined(running)
        stack.callback(self._leave)
        self._nbytes = setting.nbytes

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one in flight
        with self._node.send_output_raw("image", self._nbytes) as buffer:
            np.frombuffer(buffer, np.uint8)[0] = value

    def wait(self) -> int:
        while True:
            event = self._node.next()
            if event["type"] == "INPUT":
                return int(event["value"][0].as_py())

    def _leave(self) -> None:
        del self._node


def _joined(running: subprocess.Popen[bytes]) -> Any:
    """This process as the node `host`, as soon as the dataflow waits for it."""
    from dora import Node

    give_up = time.monotonic() + START_S
    while True:
        try:
            return Node(node_id="host")
        except RuntimeError:
            if time.monotonic() > give_up or running.poll() is not None:
                raise
            time.sleep(0.2)


def open_nodes(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    import dora  # noqa: F401 - absent is said before anything is started

    return blocking(Nodes(stack, setting)), f"dora-rs {version('dora-rs')}"


if __name__ == "__main__":
    perform(open_nodes)
