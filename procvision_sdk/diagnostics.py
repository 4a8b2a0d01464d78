"""Diagnostics: values, spans and counters of the running call, which travel with its result (spec.md §12).

Nothing here raises into the algorithm: a measurement that cannot be sent says so in its place, one too many is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeGuard

from procvision_sdk.errors import AlgorithmError
from procvision_sdk.json_value import JsonValue, encoded_bytes, normalise, type_name

# A result frame holds 2 MiB for everything; diagnostics that need more are data.
MAX_KEYS: Final = 256
MAX_TOTAL_BYTES: Final = 128 * 1024
MAX_KEY_CHARACTERS: Final = 128
_DROPPED: Final = "dropped"


class Diagnostics:
    """What the running call wants to tell besides its result; empty again for the next call. Safe on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, JsonValue] = {}
        self._sizes: dict[str, int] = {}
        self._bytes = 0
        self._dropped = 0

    def publish(self, key: str, value: object) -> None:
        """Set `key` to `value` (JSON, numpy scalars, small arrays); a later value of the same key replaces it."""
        name = _key(key)
        plain = _plain(value)
        with self._lock:
            self._store(name, plain)

    def count(self, name: str, n: int = 1) -> None:
        """Add `n` to the counter `name`, which begins at 0 with each call."""
        amount = _plain(n)
        if not _is_number(amount):
            amount = {"unpublishable": f"count: expected a number, got {type_name(n)}"}
        self._add(_key(name), amount)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Time the body: its milliseconds are added to `<name>_ms`, also when the body raises."""
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._add(f"{_key(name)}_ms", (time.perf_counter() - began_s) * 1000.0)

    def collect(self) -> dict[str, JsonValue]:
        """Everything since the last collect, then forgotten; `dropped` counts what did not fit, if anything did not."""
        if not (self._values or self._dropped):
            return {}
        with self._lock:
            values, dropped = self._values, self._dropped
            self._values, self._sizes, self._bytes, self._dropped = {}, {}, 0, 0
        if dropped:
            values[_DROPPED] = dropped
        return values

    def _add(self, name: str, amount: JsonValue) -> None:
        with self._lock:
            before = self._values.get(name)
            if _is_number(before) and _is_number(amount):
                amount = _plain(before + amount)
            self._store(name, amount)

    def _store(self, name: str, value: JsonValue) -> None:
        size = encoded_bytes(name) + encoded_bytes(value) + 2
        total = self._bytes - self._sizes.get(name, 0) + size
        too_many = name not in self._values and len(self._values) >= MAX_KEYS
        if too_many or total > MAX_TOTAL_BYTES:
            self._dropped += 1
            return
        self._values[name] = value
        self._sizes[name] = size
        self._bytes = total


def _key(key: object) -> str:
    try:
        text = normalise(key, "key")
    except AlgorithmError:
        text = None
    return text[:MAX_KEY_CHARACTERS] if isinstance(text, str) else f"<{type_name(key)}>"


def _plain(value: object) -> JsonValue:
    try:
        return normalise(value, "value")
    except AlgorithmError as error:
        return {"unpublishable": error.message}


def _is_number(value: JsonValue) -> TypeGuard[int | float]:
    return type(value) is int or type(value) is float
