"""Stands at two gates inside execute: at the first the test learns that it is there, at the second it is held."""

from typing import Any

from tests.algorithms import quiet


class Algorithm(quiet.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        quiet.wait_at("entered")
        quiet.wait_at("held")
        quiet.note("executed")
        return super().execute(*arguments, **named)
