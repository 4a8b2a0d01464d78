"""The reader of archives by itself: what its headers give away is refused before anything else is asked (§10.22)."""

from __future__ import annotations

import io

import pytest

from procvision_sdk.errors import PackageError
from runner.packages import archive
from tests.runner.packages.hostile import archives
from tests.runner.packages.hostile.archives import Hostile

# Headers that say nothing wrong: refused when the bytes are read, or for want of a listing.
BY_THEIR_CONTENT = {
    "unpacks to more than it says",
    "unpacks to less than it says",
    "checksum is wrong in both",
    "an empty zip",
}
HEADERS = [*archives.names(), *archives.modes(), *archives.bombs(), *archives.doubles()]


@pytest.mark.parametrize("one", HEADERS, ids=lambda one: one.name)
def test_headers_that_lie_or_reach_outside_are_refused_by_the_reader_alone(one: Hostile) -> None:
    file = io.BytesIO(one.data())
    if one.name in BY_THEIR_CONTENT:
        archive.read(file, archive.PACKAGE)
        return
    with pytest.raises(PackageError) as refused:
        archive.read(file, archive.PACKAGE)
    assert refused.value.code in one.codes
