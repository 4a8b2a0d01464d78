"""Returns what is no result, or what does not fit into one."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from tests.algorithms.daemon.plain import Plain, judged_ok


class _Evil(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("items() was asked")


class _Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("str() was asked")


def _circle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


async def _later() -> None:
    """Never awaited."""


def _generated() -> Any:
    yield {"status": "OK"}


def _coroutine() -> Any:
    unfinished = _later()
    unfinished.close()  # or its end would warn in the log
    return unfinished


VALUES: dict[str, Any] = {
    "nan": lambda: float("nan"),
    "infinity": lambda: {"mean": [1.0, float("-inf")]},
    "numpy nan": lambda: np.float32("nan"),
    "numpy scalars": lambda: [np.int64(7), np.float32(0.5), np.bool_(True)],
    "numpy array": lambda: np.arange(6, dtype=np.uint8).reshape(2, 3),
    "large array": lambda: np.zeros(5000),
    "bytes": lambda: b"pixels",
    "set": lambda: {"bent"},
    "decimal": lambda: Decimal("0.1"),
    "datetime": lambda: datetime.now(UTC),
    "path": lambda: Path("/tmp"),
    "object": object,
    "ten megabytes": lambda: "x" * 10_000_000,
    "a gigabyte by reference": lambda: ["x" * 1_000_000] * 1000,
    "a million keys": lambda: dict.fromkeys(map(str, range(1_000_000)), 0),
    "a key of two megabytes": lambda: {"k" * 2_000_000: 1},
    "circle": _circle,
    "nested deep": lambda: _deep(50_000),
    "evil dict": lambda: _Evil(a=1),
    "text of its own": lambda: _Text("kept"),
    "number as key": lambda: {1: "one"},
    "half a pair": lambda: "\ud800",
}
RETURNED: dict[str, Any] = {
    "none": lambda: None,
    "list": lambda: [{"status": "OK"}],
    "number": lambda: 1,
    "text": lambda: "OK",
    "true": lambda: True,
    "generator": _generated,
    "coroutine": _coroutine,
    "no verdict": lambda: {"status": "OK", "data": {}},
    "no status": lambda: {"data": {"result_status": "OK"}},
    "verdict in the wrong case": lambda: {"status": "OK", "data": {"result_status": "ok"}},
    "NG without reason": lambda: {"status": "OK", "data": {"result_status": "NG", "defect_rects": []}},
}


class Algorithm(Plain):
    def execute(self, *arguments: Any) -> Any:
        how = arguments[3]["how"]
        return RETURNED[how]() if how in RETURNED else judged_ok(value=VALUES.get(how, str)())
