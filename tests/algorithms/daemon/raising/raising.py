"""Raises what ends a process elsewhere, and exceptions that are themselves a fault."""

import builtins
from typing import Any

from tests.algorithms.daemon.plain import Plain


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")

    __repr__ = __str__


class Algorithm(Plain):
    def act(self, how: str, shared_mem_id: str, image_meta: dict[str, Any]) -> Any:
        match how:
            case "mute":
                raise MuteError
            case "verbose":
                raise ValueError("x" * 10_000_000)
            case "no":
                return None
        raise getattr(builtins, how)("out of execute")
