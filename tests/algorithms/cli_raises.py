"""Fails as unfinished code does."""

from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        raise ZeroDivisionError("[red]no area[/red]")
