"""Stands at two gates inside setup."""

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def setup(self) -> None:
        quiet.wait_at("entered")
        quiet.wait_at("held")
        super().setup()
