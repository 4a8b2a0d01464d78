"""Says that it began, and never comes back from execute."""

import time
from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        self.logger.info("began")
        while True:
            time.sleep(60)
