"""Is not ready; and would leave a file if execute were called all the same."""

from pathlib import Path
from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def pre_execute(self, *arguments: Any, **named: Any) -> Any:
        return {"status": "ERROR", "message": "no light", "error_code": "5001"}

    def execute(self, *arguments: Any, **named: Any) -> Any:
        Path("executed").touch()
        return super().execute(*arguments, **named)
