"""Opens a file for each part and forgets it."""

import os
from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        os.open(os.devnull, os.O_RDONLY)
        return super().execute(*arguments, **named)
