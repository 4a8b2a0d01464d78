"""Session: one product's state over all its steps, JSON only, bounded, and aware of its own changes (spec.md §2).

The state a call began with is never written to: changes lie in a layer above it, so dropping an attempt
(`discard`) is dropping the layer, and a session nobody writes to costs no copy. The runner is the single writer of
record; what an attempt changed travels to it as `SessionChanges`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from procvision_sdk.json_value import JsonValue, clone, encoded_bytes, json_copy, type_name

# The whole state as compact UTF-8 JSON; it travels in full after a worker crash (spec.md §2).
MAX_STATE_BYTES: Final = 100 * 1024


class _Gone:
    """Stands in the layer for a key that was deleted."""


_GONE: Final = _Gone()


@dataclass(frozen=True, slots=True)
class SessionChanges:
    """What an attempt changed: keys with their new values, and the keys that are no more."""

    set: dict[str, JsonValue]
    deleted: tuple[str, ...]


class Session:
    """State that one product carries from step to step, and from pre_execute to execute.

    Values are JSON and are copied in and out: changing what `get` returned changes nothing until it is `set` again.
    Use it on the hook's thread and only during the hook; an ERROR or a raise drops everything the attempt changed.

    `state` is handed over: the caller must not change it afterwards.
    """

    __slots__ = ("_base", "_context", "_id", "_layer", "_sizes", "_version")

    def __init__(
        self,
        id: str,  # noqa: A002 - the name authors and hosts know
        context: Mapping[str, Any],
        state: Mapping[str, JsonValue] | None = None,
        version: int = 0,
    ) -> None:
        self._id = id
        self._context = {key: json_copy(value, f"context.{key}") for key, value in context.items()}
        self._base: Mapping[str, JsonValue] = {} if state is None else state
        self._layer: dict[str, JsonValue | _Gone] = {}
        self._sizes: dict[str, int] | None = None
        self._version = version

    @property
    def id(self) -> str:
        """The same for all calls of one product's run."""
        return self._id

    @property
    def context(self) -> dict[str, Any]:
        """What the host said when it opened the session (product_code, operator, trace_id ...): a copy each time."""
        return {key: clone(value) for key, value in self._context.items()}

    @property
    def version(self) -> int:
        """Counts the accepted attempts; the runner compares it to know what this worker already holds."""
        return self._version

    def get(self, key: str, default: Any = None) -> Any:
        """A copy of the value of `key`, or `default` itself when there is none."""
        value = self._layer.get(key) if key in self._layer else self._base.get(key, _GONE)
        return default if isinstance(value, _Gone) else clone(value)

    def exists(self, key: str) -> bool:
        """Whether `key` has a value, None included."""
        if key in self._layer:
            return not isinstance(self._layer[key], _Gone)
        return key in self._base

    def set(self, key: str, value: Any) -> None:
        """Store a copy of `value` under `key`.

        Raises TypeError when it is not plain JSON (NaN, numpy scalars and arrays included: use `.item()`,
        `.tolist()`), ValueError when the whole state would exceed 100 KB. Then nothing has changed.
        """
        if type(key) is not str:
            raise TypeError(f"session key: expected str, got {type_name(key)}")
        json_copy(key, "session key")
        copy = json_copy(value, f"session[{key[:40]!a}]")
        sizes = self._measured()
        size = _entry_bytes(key, copy)
        total = sum(sizes.values()) - sizes.get(key, 0) + size + 1
        if total > MAX_STATE_BYTES:
            raise ValueError(
                f"session[{key[:40]!a}]: {size} bytes would make the state {total} bytes; at most {MAX_STATE_BYTES}. "
                "Keep large data on the algorithm and its key in the session, or delete what is done"
            )
        self._layer[key] = copy
        sizes[key] = size

    def delete(self, key: str) -> bool:
        """Remove `key`; whether it was there."""
        if not self.exists(key):
            return False
        if key in self._base:
            self._layer[key] = _GONE
        else:
            del self._layer[key]
        if self._sizes is not None:
            self._sizes.pop(key, None)
        return True

    @property
    def has_changes(self) -> bool:
        """Whether anything was set or deleted since construction or the last `rebase`."""
        return bool(self._layer)

    def changes(self) -> SessionChanges:
        """What was set and deleted since construction or the last `rebase`."""
        layer = dict(self._layer)
        return SessionChanges(
            set={key: clone(value) for key, value in layer.items() if not isinstance(value, _Gone)},
            deleted=tuple(key for key, value in layer.items() if isinstance(value, _Gone)),
        )

    def discard(self) -> None:
        """Forget all changes since construction or the last `rebase`: the attempt failed."""
        self._layer = {}
        self._sizes = None

    def rebase(self) -> None:
        """Accept all changes as the new state of record, one version later."""
        if self._layer:
            self._base = self._merged()
            self._layer = {}
        self._version += 1

    def state(self) -> dict[str, JsonValue]:
        """The full state, changes included: a copy."""
        return {key: clone(value) for key, value in self._merged().items()}

    def _merged(self) -> dict[str, JsonValue]:
        merged: dict[str, JsonValue] = dict(self._base)
        for key, value in self._layer.items():
            if isinstance(value, _Gone):
                merged.pop(key, None)
            else:
                merged[key] = value
        return merged

    def _measured(self) -> dict[str, int]:
        """Bytes per key, measured at the first write and kept up to date from then on."""
        if self._sizes is None:
            self._sizes = {key: _entry_bytes(key, value) for key, value in self._merged().items()}
        return self._sizes


def _entry_bytes(key: str, value: JsonValue) -> int:
    """`"key":value` and the comma (or brace) after it."""
    return encoded_bytes(key) + encoded_bytes(value) + 2
