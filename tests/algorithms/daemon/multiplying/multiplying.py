"""Starts process after process, at most CAP, and never answers."""

import os
import time
from typing import Any

from tests.algorithms.daemon.plain import Plain, note

CAP = 200
_SLEEP = ("sleep", "3600")


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        if how == "no":
            return None
        made = 0
        try:
            for number in range(CAP):
                os.posix_spawnp(_SLEEP[0], _SLEEP, os.environ, setsid=how == "sessions" and number % 4 == 0)
                made += 1
        except BlockingIOError:
            note("refused")
        note(f"made:{made}")
        time.sleep(3600)
        return None
