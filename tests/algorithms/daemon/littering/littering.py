"""Leaves files in its private folder and names in shared memory, and holds on to them."""

import os
import tempfile
from typing import Any

from tests.algorithms.daemon.plain import Plain, note

# Enough to be replaced for, below what the process could not bear itself.
ENOUGH_NAMES, ENOUGH_FILES = 560, 1_200
_AT_ONCE = 100


class Algorithm(Plain):
    def setup(self) -> None:
        self.left: list[str] = []

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "names" if len(self.left) < ENOUGH_NAMES:
                for _ in range(_AT_ONCE):
                    self.left.append(f"/dev/shm/pvleft-{os.getpid()}-{len(self.left)}")
                    os.open(self.left[-1], os.O_CREAT | os.O_RDWR)
            case "files" if len(self.left) < ENOUGH_FILES:
                for _ in range(_AT_ONCE):
                    descriptor, path = tempfile.mkstemp()
                    os.close(descriptor)
                    self.left.append(path)
                if self.left[-_AT_ONCE:] == self.left:
                    note(tempfile.gettempdir())
            case "exit":
                os._exit(3)
        return None
