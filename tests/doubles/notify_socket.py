"""Where an init system listens: a real datagram socket (the sd_notify protocol)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.doubles.raw_host import LIMIT_S


@contextmanager
def init_system(address: str) -> Iterator[socket.socket]:
    """A bound socket; a silence of LIMIT_S is a failed test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.settimeout(LIMIT_S)
        yield listening


def heard(listening: socket.socket) -> list[str]:
    """The lines of the next message."""
    return listening.recv(65_536).decode().splitlines()
