"""`host.group`: its members may enter, read the address, connect and map; others may not (spec.md §11.13)."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.doubles.daemon import serving

if sys.platform != "win32":
    import grp


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_members_of_the_group_reach_the_socket_and_the_segment(tmp_path: Path) -> None:
    groups = [one for one in grp.getgrall() if one.gr_gid not in (os.getgid(), 0)]
    if os.getuid() != 0 or not groups:
        pytest.skip("needs root and a second group to give files away")
    group = groups[0]
    with serving(tmp_path, "steady", **{"host.group": group.gr_name}) as daemon, daemon.client() as client:
        run = daemon.home / "run"
        segment = Path("/dev/shm") / client.welcome["arena"]["segment"]
        expected = [(run, 0o750), (run / "address", 0o640), (run / "runner.sock", 0o660), (segment, 0o660)]
        for path, rights in expected:
            assert (mode(path), path.stat().st_gid) == (rights, group.gr_gid), path


def test_without_a_group_everything_is_its_owners_alone(tmp_path: Path) -> None:
    with serving(tmp_path, "steady") as daemon, daemon.client() as client:
        run = daemon.home / "run"
        segment = Path("/dev/shm") / client.welcome["arena"]["segment"]
        for path, rights in [(run, 0o700), (run / "address", 0o600), (run / "runner.sock", 0o600), (segment, 0o600)]:
            assert mode(path) == rights, path
