"""Ours with one copy in: `lease.put(image)`, an inspection, and the next lease with its answer."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from benchmarks.contestants.ours_daemon import open_client, patch_of
from benchmarks.stage import Play, Setting, blocking, perform
from runner import __version__
from runner.host.client import Client


class CopiedIn:
    most_in_flight = 1

    def __init__(self, client: Client, setting: Setting) -> None:
        self._client, self._durability = client, setting.durability
        self._lease = client.lease()
        self._image = np.zeros(setting.shape, np.uint8)
        self._seen = 0

    def submit(self, place: int, value: int) -> None:  # noqa: ARG002 - one slot after the other
        self._image[0, 0, 0] = value
        meta = self._lease.put(self._image, camera_id="bench")
        self._seen = patch_of(self._client.inspect("NULL", self._lease, meta, step_index=1), self._durability)

    def wait(self) -> int:
        return self._seen


def open_client_that_copies(stack: ExitStack, setting: Setting) -> tuple[Play, str]:
    return blocking(CopiedIn(open_client(stack, setting), setting)), f"procvision {__version__}"


if __name__ == "__main__":
    perform(open_client_that_copies)
