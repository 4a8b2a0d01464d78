"""Declares another step than its manifest."""

from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def get_info(self) -> dict[str, Any]:
        return {**super().get_info(), "steps": [{"index": 1, "name": "look", "params": []}]}
