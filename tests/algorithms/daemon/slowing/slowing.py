"""Takes many times what it took."""

import time
from typing import Any

from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        time.sleep(0.04 if how == "slow" else 0.002)
        return None
