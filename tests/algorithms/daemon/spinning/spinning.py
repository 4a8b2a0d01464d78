"""Keeps sixteen threads busy outside the interpreter's lock for as long as a test wants."""

import hashlib
import os
import threading
from typing import Any

from tests.algorithms.daemon.plain import Plain, judged_ok, wait_at

_DATA = bytes(1_000_000)


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how != "spin":
            return None
        over = threading.Event()
        threads = [threading.Thread(target=_spin, args=(over,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        wait_at("spinning")
        over.set()
        for thread in threads:
            thread.join()
        capped = {name: value for name, value in os.environ.items() if "THREADS" in name}
        return judged_ok(capped=capped)


def _spin(over: threading.Event) -> None:
    while not over.is_set():
        hashlib.sha256(_DATA)
