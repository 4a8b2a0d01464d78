"""Prints in a hook."""

from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        print("\x1b[31mhere we are")
        return super().execute(*arguments, **named)
