"""Takes memory, descriptors and threads: a little with each call, or all at once."""

import os
import threading
from typing import Any

import numpy as np

from tests.algorithms.daemon.plain import Plain, judged_ok, note, wait_at

MIB = 1024 * 1024
# With the 25 MiB it has, above the 320 at which a worker of 256 is ended; below the 384 at which allocations fail.
GROWN = 305 * MIB
# 5 MiB each, after which a leak stops: above the 256 at which it is replaced, below the 320 at which it would be ended.
LEAKS = 51
# Above the 512 and 256 at which it is replaced, below what a process may have.
LEAKED_FILES, LEAKED_THREADS, AT_ONCE = 700, 300, 50


class Algorithm(Plain):
    def setup(self) -> None:
        self.kept: list[Any] = []

    def teardown(self) -> None:
        note("teardown")

    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "leak" if len(self.kept) < LEAKS:
                self.kept.append(b"x" * (5 * MIB))
            case "leak_files" if len(self.kept) < LEAKED_FILES:
                self.kept += [os.dup(0) for _ in range(AT_ONCE)]
            case "leak_threads" if len(self.kept) < LEAKED_THREADS:
                threading.stack_size(MIB // 4)
                self.kept += [threading.Thread(target=threading.Event().wait, daemon=True) for _ in range(AT_ONCE)]
                for thread in self.kept[-AT_ONCE:]:
                    thread.start()
            case "one_array":
                np.ones(10_000 * MIB, np.uint8)
            case "grow_and_wait":
                self.kept.append(np.ones(GROWN, np.uint8))
                wait_at("never")
            case "grow_until_refused":
                while True:
                    self.kept.append(bytearray(MIB))
            case "tell_environment":
                return judged_ok(threads=os.environ["OMP_NUM_THREADS"])
        return None
