"""Raises in setup: no part may be judged by it."""

from tests.algorithms.daemon.plain import Plain, note


class Algorithm(Plain):
    def setup(self) -> None:
        note("tried")
        raise ValueError("the model is for another camera")
