"""Takes its time in setup, as large models do."""

from tests.algorithms.daemon.plain import Plain, wait_at


class Algorithm(Plain):
    def setup(self) -> None:
        wait_at("setup-gate")
