"""Answers get_info as PROC_TEST_INFO says."""

import json
import os
from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def get_info(self) -> Any:
        return json.loads(os.environ["PROC_TEST_INFO"])
