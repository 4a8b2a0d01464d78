"""Finds its camera only at the second try, and says that trying again is worth it."""

from procvision_sdk import RecoverableError
from tests.algorithms.daemon.plain import Plain, happens_first_time, note


class Algorithm(Plain):
    def setup(self) -> None:
        note("tried")
        if happens_first_time("boot"):
            raise RecoverableError("the camera does not answer yet")
