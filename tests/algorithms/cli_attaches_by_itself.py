"""Opens shared memory with Python's own class."""

from multiprocessing import shared_memory
from typing import Any

from tests.algorithms import cli_plain


class Algorithm(cli_plain.Algorithm):
    def setup(self) -> None:
        self._open = shared_memory.SharedMemory

    def execute(self, *arguments: Any, **named: Any) -> Any:
        return super().execute(*arguments, **named)
