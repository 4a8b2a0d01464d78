"""Tells how many objects a collection during a call walks, and leaves one of its own in setup for it to free."""

import gc
import weakref
from typing import Any

from tests.algorithms import quiet


class Ring:
    """Refers to itself: only a collection frees it."""

    def __init__(self) -> None:
        self.me = self


class Algorithm(quiet.Algorithm):
    def setup(self) -> None:
        super().setup()
        ring = Ring()
        self.ring = weakref.ref(ring)

    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        gc.collect()
        walked = len(gc.get_objects())
        data = {"walked": walked, "frozen": gc.get_freeze_count(), "ring_is_gone": self.ring() is None}
        return {"status": "OK", "data": {"result_status": "OK", **data}}
