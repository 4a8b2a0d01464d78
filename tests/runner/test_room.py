"""Room on the disk of the store: poison inputs, ballast, and their way back (spec.md §11.16)."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from procvision_sdk.wire.host_messages import Inspect
from runner.results import poison
from runner.results.room import Room

MIB = 1024 * 1024
Usage = namedtuple("Usage", "total used free")


class FakeDisk:
    """How much is free in percent, the ballast aside, which takes its share while it is there."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_percent = 50.0
        self._ballast = folder / "ballast"
        monkeypatch.setattr(shutil, "disk_usage", self._usage)

    def _usage(self, _: Path) -> Usage:
        taken = self._ballast.stat().st_size if self._ballast.exists() else 0
        return Usage(100 * MIB, 0, int(self.free_percent * MIB) - taken)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDisk:
    return FakeDisk(tmp_path, monkeypatch)


def test_ballast_is_made_where_there_is_room_given_up_when_the_disk_is_full_and_comes_back(
    tmp_path: Path, fake: FakeDisk
) -> None:
    room = Room(tmp_path, 0, 4 * MIB)
    steps = []
    for free_percent in (50.0, 6.1, 4.5, 4.4, 5.9, 6.1):
        fake.free_percent = free_percent
        level = room.look().level
        room.mend()
        steps.append((level, room.ballast_bytes() // MIB))
    assert steps == [("good", 4), ("low", 4), ("low", 0), ("low", 0), ("good", 0), ("good", 4)]


@pytest.mark.parametrize(("ballast_bytes", "left"), [(0, 0), (MIB, MIB)])
def test_a_changed_setting_changes_the_ballast(tmp_path: Path, fake: FakeDisk, ballast_bytes: int, left: int) -> None:
    assert fake.free_percent
    Room(tmp_path, 0, 2 * MIB).mend()
    room = Room(tmp_path, 0, ballast_bytes)
    room.mend()
    assert room.ballast_bytes() == left


def test_poison_inputs_go_one_at_a_time_the_oldest_first_while_room_is_scarce(tmp_path: Path, fake: FakeDisk) -> None:
    for name in ("1-a", "2-b", "3-c"):
        (tmp_path / "poison" / name).mkdir(parents=True)
    room = Room(tmp_path, 0, 0)
    removed = []
    for free_percent in (4.0, 1.9, 0.5, 4.0):
        fake.free_percent = free_percent
        removed.append(room.mend())
    assert removed == [0, 1, 1, 0]
    assert [one.name for one in (tmp_path / "poison").iterdir()] == ["3-c"]


@pytest.mark.parametrize(("free_percent", "kept"), [(5.0, True), (4.9, False), (0.5, False)])
def test_poison_inputs_are_kept_only_where_the_disk_is_not_low(
    tmp_path: Path, fake: FakeDisk, free_percent: float, kept: bool
) -> None:
    fake.free_percent = free_percent
    meta = {"width": 1, "height": 1, "timestamp_ms": 1, "camera_id": "c"}
    request = Inspect.model_validate({"request_id": "r", "pid": "p", "shared_mem_id": "s", "image_meta": meta})
    try:
        poison.keep(tmp_path / "poison", request, memoryview(b"pixels"))
    except OSError as error:
        assert not kept and "the disk is" in str(error)
    else:
        assert kept and len(list((tmp_path / "poison").iterdir())) == 1
