"""Closes descriptors that it did not open: the standard three, or every one there is."""

import os
from typing import Any

from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "standard":
                for descriptor in (0, 1, 2):
                    os.close(descriptor)
            case "all":
                os.closerange(0, 65_536)
        return None
