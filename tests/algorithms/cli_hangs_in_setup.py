"""Waits for a licence that nobody gives."""

import time

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def setup(self) -> None:
        time.sleep(3600)
