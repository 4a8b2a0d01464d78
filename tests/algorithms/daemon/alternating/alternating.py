"""Every other setup ends its own process by a signal."""

import os

from tests.algorithms.daemon.plain import FOLDER, Plain, note


class Algorithm(Plain):
    def setup(self) -> None:
        note("alternated")
        if (FOLDER / "notes").read_text("utf-8").count("alternated") % 2:
            os.abort()
