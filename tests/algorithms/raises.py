"""Raises what it is asked for, among it exceptions that cannot even be printed."""

from typing import Any

from procvision_sdk import ImageLoadError, RecoverableError
from tests.algorithms import quiet


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text either")


class Rude(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class WithoutInit(RecoverableError):
    def __init__(self) -> None:
        Exception.__init__(self)


RAISED: dict[str, BaseException] = {
    "exit": SystemExit(0),
    "interrupt": KeyboardInterrupt(),
    "generator": GeneratorExit(),
    "memory": MemoryError("no room"),
    "mute": Mute(),
    "rude": Rude(),
    "long": RuntimeError("x" * 10_000_000),
    "surrogate": RuntimeError("\ud800"),
    "known": ImageLoadError("dark", hint="open the shutter"),
    "own code": ImageLoadError("dark", code="\ud800" * 1000),
    "without init": WithoutInit(),
}


class Algorithm(quiet.Algorithm):
    def execute(
        self, step_index: int, pid: str, session: Any, user_params: dict[str, Any], shared_mem_id: str, image_meta: Any
    ) -> Any:
        raise RAISED[user_params["what"]]
