"""Ours as a station has it: host -> daemon -> supervised worker, with validation, sessions and supervision on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.stage import MOST_IN_FLIGHT, Play, Setting, blocking, perform
from benchmarks.station import connect, start_daemon
from runner import __version__
from runner.host.client import Client


class Daemon:
    """The image lies in a slot that is kept; `most_in_flight` leases."""

    most_in_flight = MOST_IN_FLIGHT

    def __init__(self, client: Client, setting: Setting) -> None:
        self._client, self._durability = client, setting.durability
        image = np.zeros(setting.shape, np.uint8)
        self._leases = [client.lease() for _ in range(self.most_in_flight)]
        self._metas = [lease.put(image, camera_id="bench") for lease in self._leases]
        self._images = [lease.array(meta) for lease, meta in zip(self._leases, self._metas, strict=True)]
        self._asked: deque[str] = deque()

    def submit(self, place: int, value: int) -> None:
        self._images[place][0, 0, 0] = value
        lease, meta = self._leases[place], self._metas[place]
        self._asked.append(self._client.submit("NULL", lease, meta, step_index=1, keep=True))

    def wait(self) -> int:
        result = self._client.result(self._asked.popleft())
        return patch_of(result, self._durability)


def patch_of(result: Mapping[str, Any], durability: str) -> int:
    """What the answer saw; it is an OK without a copy, recorded as was asked for."""
    if (result["status"], result["copies"], result["recorded"]) != ("OK", 0, durability):
        raise AssertionError(f"expected OK, no copy, recorded {durability}; got {result}")
    patch: int = result["data"]["patch"]
    return patch


def open_client(stack: ExitStack, setting: Setting) -> Client:
    settings = {"slots.capacity_bytes": str(setting.nbytes), "store.durability": f'"{setting.durability}"'}
    with setting.serving():
        home, _ = start_daemon(stack, settings)
    return connect(stack, home)


def open_daemon(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(Daemon(open_client(stack, setting), setting)), f"procvision {__version__}"


if __name__ == "__main__":
    perform(open_daemon)
