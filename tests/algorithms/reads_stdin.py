"""Reads standard input in every way: it is empty, and the frames are elsewhere."""

import os
import sys
from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        read = [sys.stdin.read(), os.read(0, 100).decode(), sys.stdin.readline()]
        try:
            input()
        except EOFError:
            read.append("end")
        return {"status": "OK", "data": {"result_status": "OK", "read": read}}
