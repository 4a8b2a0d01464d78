"""Says that it is another package than its manifest says, as PROC_TEST_HOW names it."""

import os
from typing import Any

from tests.algorithms.daemon.plain import Plain


class Algorithm(Plain):
    def get_info(self) -> dict[str, Any]:
        claimed = {"supported_pids": ["S1"], "version": "9.9", "name": "steady"}
        how = os.environ["PROC_TEST_HOW"]
        return {**super().get_info(), how: claimed[how]}
