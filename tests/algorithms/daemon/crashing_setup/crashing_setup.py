"""Dies in setup by a signal, once; a process that dies is tried again, unlike one that says why it cannot boot."""

import os

from tests.algorithms.daemon.plain import Plain, happens_first_time, note


class Algorithm(Plain):
    def setup(self) -> None:
        note("tried")
        if happens_first_time("boot"):
            os.abort()
