"""What the algorithm logs and what the runner warns of, as lines on this command's stderr (spec.md §12)."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.markup import escape

from runner.terminal import err

_COLOURS = {logging.DEBUG: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}
# Control, format (direction among them), surrogate, line and paragraph separator.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Which call a line belongs to, and when it was written, says the line's place in a terminal.
_LEFT_OUT = frozenset({"worker", "request_id", "session_id", "at_ms", "trace_id"})


def printable(text: str) -> str:
    """Text that cannot move a terminal's cursor, change its colours or turn its direction; \\n and \\t stay."""
    return "".join(f"\\x{ord(one):02x}" if _steers(one) else one for one in text)


def _steers(one: str) -> bool:
    return one not in "\n\t" and unicodedata.category(one) in _STEERING


class LogLines(logging.Handler):
    """Shows each record as `tag level message key=value`; keeps what was no record of a StructuredLogger."""

    def __init__(self) -> None:
        super().__init__()
        self.stray: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = getattr(record, "fields", {})
        message = record.getMessage()
        if record.name.endswith(".worker") and "at_ms" not in fields:
            self.stray.append(message)
        shown = " ".join(f"{key}={value}" for key, value in fields.items() if key not in _LEFT_OUT)
        tag = str(fields.get("worker", "runner")).partition("#")[0]
        colour = _COLOURS.get(record.levelno, "default")
        line = f"[cyan]{escape(tag)}[/] [{colour}]{record.levelname.lower():7}[/] {escape(printable(message))}"
        more = f" [dim]{escape(printable(shown))}[/]" if shown else ""
        err.print(line + more, highlight=False, soft_wrap=True)


@contextmanager
def shown_logs() -> Iterator[LogLines]:
    """Show the logs of runner and algorithm on stderr for as long as this lasts."""
    root = logging.getLogger("procvision")
    handler = LogLines()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    propagated, root.propagate = root.propagate, False
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.propagate = propagated
