"""Takes its process with it."""

import os
import signal
from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def execute(self, *arguments: Any, **named: Any) -> Any:
        os.kill(os.getpid(), signal.SIGSEGV)
