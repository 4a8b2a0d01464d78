"""What the init system hears of a station: ready, stopping, still alive (the sd_notify protocol; spec.md §11.23).

Silent where no NOTIFY_SOCKET says that somebody listens. The watchdog is fed by a task of the event loop that also
performs every deadline: a loop that is blocked feeds nothing, and the init system starts the station anew.
"""

from __future__ import annotations

import os
import socket
from asyncio import sleep
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """The way to the init system. A message that cannot be sent is dropped: it never blocks or ends the station."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """NOTIFY_SOCKET is a path, or begins with @ for an abstract name; WATCHDOG_USEC counts for WATCHDOG_PID."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.interval_s = _interval_s(environment)

    def tell(self, state: str) -> None:
        """Send `READY=1`, `STOPPING=1`, `WATCHDOG=1` or `STATUS=...`; several are parted by line breaks."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.setblocking(False)
            link.sendto(state.encode(), self._address)

    async def feed(self) -> None:
        """Feed the watchdog, twice as often as it asks for, until cancelled; returns at once where there is none."""
        while self.interval_s is not None:
            self.tell("WATCHDOG=1")
            await sleep(self.interval_s)


def _interval_s(environment: Mapping[str, str]) -> float | None:
    """Half of the watchdog's time, None when there is none or it is another process's."""
    asked, own = environment.get("WATCHDOG_USEC", ""), str(os.getpid())
    is_ours = environment.get("WATCHDOG_PID", own) == own
    return int(asked) / 2_000_000 if is_ours and asked.isdecimal() and int(asked) else None
