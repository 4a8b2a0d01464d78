"""Who is at the other end of a Unix socket: the kernel is asked, before a byte is read (spec.md §4.20).

The socket's mode keeps strangers out already; this holds where somebody loosened it. Linux only: elsewhere the mode,
and over TCP the token, guard the runner alone.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from array import array
from contextlib import suppress
from dataclasses import dataclass

import psutil

_CREDENTIALS = struct.Struct("3i")
# The module socket does not name it: the groups of the process that connected, as an array of gid_t.
_SO_PEERGROUPS = 59
# As much as getsockopt takes at once: 256 groups. Who has more is known by the first group alone.
_GROUPS_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected; `os_pid` 0 when it lives in another namespace."""

    os_pid: int
    uid: int
    groups: frozenset[int]


def why_refused(connected: socket.socket | None, group: str) -> str:
    """Why this peer may not be a host of this runner, "" when it may: its owner, root, or a member of `group`.

    A process of an algorithm is none, whoever it runs as: what it started counts as itself.
    """
    peer = peer_of(connected)
    if peer is None or sys.platform == "win32":
        return ""
    if peer.uid not in (0, os.geteuid()) and not _is_member(peer, group):
        expected = f"user {os.geteuid()}, root" + (f" or a member of group {group!r}" if group else "")
        return f"user {peer.uid} (process {peer.os_pid}) may not connect; expected {expected}"
    if peer.os_pid and _was_started_by_us(peer.os_pid):
        return f"process {peer.os_pid} may not connect: it was started by this runner, an algorithm is no host"
    return ""


def may_administer(peer: Peer | None) -> bool:
    """Whether this peer may change the station: its owner, root, and where the kernel is silent whoever was let in."""
    return peer is None or sys.platform == "win32" or peer.uid in (0, os.geteuid())


def name_of(peer: Peer | None) -> str:
    """The user who connected, "" where the kernel does not say."""
    if peer is None or sys.platform == "win32":
        return ""
    import pwd

    try:
        return pwd.getpwuid(peer.uid).pw_name
    except KeyError:
        return str(peer.uid)


def peer_of(connected: socket.socket | None) -> Peer | None:
    """Who connected; None where the kernel does not say."""
    if sys.platform != "linux" or connected is None or connected.family != socket.AF_UNIX:
        return None
    told = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    os_pid, uid, gid = _CREDENTIALS.unpack(told)
    groups = array("I")
    with suppress(OSError):
        groups.frombytes(connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES))
    return Peer(os_pid, uid, frozenset((gid, *groups)))


def _is_member(peer: Peer, group: str) -> bool:
    if not group or sys.platform == "win32":
        return False
    import grp

    return grp.getgrnam(group).gr_gid in peer.groups


def _was_started_by_us(os_pid: int) -> bool:
    """Whether it, or what started it, is a child of this process; who is gone already is believed nothing."""
    try:
        return os.getpid() in (one.pid for one in psutil.Process(os_pid).parents())
    except psutil.Error:
        return True
