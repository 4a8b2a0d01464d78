"""Who may change a station, by what the kernel says of a connection (spec.md §4.22)."""

from __future__ import annotations

import getpass
import os
import sys

import pytest

from runner.host.peers import Peer, may_administer, name_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the kernel names no peer")
OTHER = 54_321

WHO = [
    ("the runner's own user", Peer(1, os.geteuid(), frozenset()), True),
    ("root", Peer(1, 0, frozenset()), True),
    ("a member of the group", Peer(1, OTHER, frozenset({7})), False),
    ("one of whom the kernel is silent", None, True),
]


@pytest.mark.parametrize(("who", "peer", "may"), WHO)
def test_a_station_is_changed_by_its_owner_and_root(who: str, peer: Peer | None, may: bool) -> None:
    assert may_administer(peer) is may, who


def test_a_peer_is_named_by_its_user_or_by_the_number_of_one_that_has_no_name() -> None:
    assert name_of(Peer(1, os.geteuid(), frozenset())) == getpass.getuser()
    assert (name_of(Peer(1, OTHER, frozenset())), name_of(None)) == (str(OTHER), "")
