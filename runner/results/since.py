"""A point in time as people type it: `2h` ago, an ISO date or time, or epoch milliseconds (spec.md §11.14)."""

from __future__ import annotations

import re
from datetime import datetime

from procvision_sdk.errors import InvalidParamsError

_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGO = re.compile(r"(\d{1,9})([smhd])")


def since_ms(text: str, now_ms: int) -> int:
    """Unix epoch milliseconds; InvalidParamsError (1006) lists the forms. A time without zone is the station's."""
    ago = _AGO.fullmatch(text)
    if ago:
        return max(0, now_ms - int(ago[1]) * _UNIT_MS[ago[2]])
    if text.isascii() and text.isdigit() and len(text) > 8:
        return int(text)
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp() * 1000))
    except (ValueError, OverflowError, OSError):
        raise InvalidParamsError(
            f"--since: expected 30m, 2h, 7d, a date, a date and time or epoch milliseconds, got {text!r:.60}"
        ) from None
