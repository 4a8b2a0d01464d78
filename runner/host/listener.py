"""Accepts connections: a Unix socket in the station's run folder, or loopback TCP with a token (spec.md §4, §11).

A socket path over 100 bytes does not fit every platform's address: then the socket lies in the temp folder. Either
way `run/address` says where, `unix:<path>` or `tcp:127.0.0.1:<port>`; with TCP `run/token` holds the token.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

from procvision_sdk.errors import ErrorCode, StationError
from procvision_sdk.wire import framing
from procvision_sdk.wire.messages import refusal
from runner.config import HostConfig
from runner.host.link import Desk, Link

MAX_SOCKET_PATH_BYTES = 100
_SOCKET = "runner.sock"
_OWN_FOLDER = "procvision-socket-"


class Listener:
    """The open port. `token` is what a host must say in hello, "" where the socket's mode guards it."""

    def __init__(
        self, desk: Desk, config: HostConfig, run_folder: Path, descriptors_wanted: Callable[[], int] = lambda: 0
    ) -> None:
        """`descriptors_wanted` says how many the rest of the runner must still find when all links are open."""
        self._desk, self._config, self._folder = desk, config, run_folder
        self._descriptors_wanted = descriptors_wanted
        self._server: asyncio.Server | None = None
        self._socket_path: Path | None = None
        self.token = ""
        self.links: set[Link] = set()

    async def open(self) -> str:
        """Listen; the address for hosts. A stale socket of a killed runner is replaced: the lock is ours."""
        loop = asyncio.get_running_loop()
        self._sweep()
        if self._uses_unix():
            bound = self._bind(self._short_path())
            self._server = await loop.create_unix_server(self._accept, sock=bound, backlog=64)
            address = f"unix:{self._socket_path}"
        else:
            self.token = secrets.token_hex(32)
            self._write_private("token", self.token)
            self._server = await loop.create_server(self._accept, "127.0.0.1", 0, backlog=64)
            address = f"tcp:127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._write_private("address", address)
        self._open_to_group()
        return address

    def close(self) -> None:
        """Stop accepting and close all links; what is queued for them is still sent."""
        if self._server is not None:
            self._server.close()
        for link in tuple(self.links):
            link.close()
        if self._socket_path is not None:
            self._remove(self._socket_path)
        for name in ("address", "token"):
            (self._folder / name).unlink(missing_ok=True)

    def _uses_unix(self) -> bool:
        if self._config.transport == "auto":
            return hasattr(socket, "AF_UNIX") and sys.platform != "win32"
        return self._config.transport == "unix"

    def _short_path(self) -> Path:
        path = self._folder / _SOCKET
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        return Path(tempfile.mkdtemp(prefix=_OWN_FOLDER)) / _SOCKET

    def _bind(self, path: Path) -> socket.socket:
        """A bound socket only we may connect to; StationError (4002) when there can be none at `path`."""
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # type: ignore[attr-defined,unused-ignore]
        try:
            path.unlink(missing_ok=True)
            bound.bind(str(path))
            self._socket_path = path
            path.chmod(0o600)
            _share(path, self._config.group, 0o660)
        except OSError as error:
            bound.close()
            self._remove_folder(path)
            raise StationError(
                f"no socket can be made at {path}: {error.strerror or error}",
                hint='clear the way, choose a shorter TMPDIR, or set host.transport = "tcp"',
                code=ErrorCode.SCHEMA,
            ) from None
        return bound

    def _sweep(self) -> None:
        """A killed runner's socket may lie in the temp folder: the address it left says where."""
        with suppress(OSError):
            kind, _, place = (self._folder / "address").read_text(encoding="utf-8").partition(":")
            if kind == "unix" and Path(place).name == _SOCKET:
                self._remove(Path(place))

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._remove_folder(path)

    def _remove_folder(self, path: Path) -> None:
        if path.parent.name.startswith(_OWN_FOLDER):
            path.parent.rmdir()

    def _open_to_group(self) -> None:
        """Members of `host.group` may enter the run folder and read where to connect; nobody else may."""
        _share(self._folder, self._config.group, 0o750)
        for name in ("address", "token"):
            if (self._folder / name).exists():
                _share(self._folder / name, self._config.group, 0o640)

    def _write_private(self, name: str, text: str) -> None:
        path = self._folder / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def _accept(self) -> asyncio.Protocol:
        if len(self.links) >= self._config.max_links:
            return _Full(f"{len(self.links)} links are open, host.max_links is {self._config.max_links}")
        free = _free_descriptors()
        if free is not None and free < self._descriptors_wanted():
            return _Full(f"{len(self.links)} links are open, and the {free} descriptors left belong to the workers")
        link = Link(self._desk, self._config, self.links.discard)
        self.links.add(link)
        return link


class _Full(asyncio.Protocol):
    """A connection beyond a limit: told why, and closed before a byte of it is read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        told = refusal(None, ErrorCode.BUSY, self._reason, "close links that are not used, or raise that limit")
        cast(asyncio.WriteTransport, transport).write(framing.encode(told.encoded()))
        transport.close()


def _free_descriptors() -> int | None:
    """How many more this process may open; None where nobody limits or counts them."""
    if sys.platform != "linux":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit - sum(1 for _ in Path("/proc/self/fd").iterdir())


def _share(path: Path, group: str, mode: int) -> None:
    """Give the members of `group` the rights of `mode`; without a group the file stays its owner's alone."""
    if group and sys.platform != "win32":
        shutil.chown(path, group=group)
        path.chmod(mode)
