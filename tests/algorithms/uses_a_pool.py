"""Works with a pool of processes, as authors do."""

import multiprocessing
import threading
from typing import Any

from tests.algorithms import quiet


def _square(number: int) -> int:
    print("from the pool")
    return number * number


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            squares = pool.map(_square, [1, 2, 3])
        # A child that is told to end by SIGTERM ends by it.
        idle = multiprocessing.get_context("fork").Process(target=threading.Event().wait)
        idle.start()
        idle.terminate()
        idle.join()
        return {"status": "OK", "data": {"result_status": "OK", "squares": squares, "ended_by": idle.exitcode}}
