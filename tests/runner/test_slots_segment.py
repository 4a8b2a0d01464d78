"""The station's segment, real: made, destroyed, and swept after a killed runner and after nobody else (spec.md §3)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from procvision_sdk import segment as shared
from procvision_sdk.arena import Arena
from procvision_sdk.errors import ErrorCode, StationError
from runner.config import ConfigError, SlotsConfig
from runner.slots import segment

FOLDER = Path("/dev/shm")
STATION = f"t{os.getpid()}"
SMALL = SlotsConfig(count=2, capacity_bytes=5000)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="a name of shared memory can be looked up on Linux only")


def names() -> set[str]:
    """What is there under this station's name, hidden or not."""
    return {path.name.removeprefix(".") for path in FOLDER.iterdir() if STATION in path.name}


@pytest.fixture
def forged() -> Iterator[list[str]]:
    """Names that are removed after the test, whoever left them."""
    made: list[str] = []
    yield made
    for name in made:
        shared.unlink(name)


def forge(made: list[str], name: str) -> str:
    shared.create(name, 64).close()
    made.append(name)
    return name


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def test_a_segment_is_an_arena_under_this_process_own_name_and_is_gone_after_destroy() -> None:
    made = segment.create(STATION, SMALL)
    assert names() == {segment.own_name(STATION)} == {made.name}
    assert (FOLDER / made.name).stat().st_mode & 0o777 == 0o600
    layout = Arena.read(made.name, shared.attach(made.name)).layout
    assert (layout.slot_count, layout.slot_capacity) == (2, 5000)
    made.arena.slot(1)[:3] = b"abc"
    assert bytes(Arena.read(made.name, shared.attach(made.name)).slot(1)[:3]) == b"abc"
    made.destroy()
    made.destroy()
    assert names() == set()
    assert bytes(made.arena.slot(1)[:3]) == b"abc"


def remove_name(made: segment.Segment) -> None:
    shared.unlink(made.name)


def put_something_else(made: segment.Segment) -> None:
    shared.unlink(made.name)
    shared.create(made.name, 4096).close()


@pytest.mark.parametrize("take", [remove_name, put_something_else])
def test_a_name_that_somebody_took_is_given_back_to_the_same_memory(take: Callable[[segment.Segment], None]) -> None:
    made = segment.create(STATION, SMALL)
    try:
        assert made.hold_name() is segment.Name.HELD
        take(made)
        assert made.hold_name() is segment.Name.RESTORED
        made.arena.slot(1)[:3] = b"abc"
        assert bytes(Arena.read(made.name, shared.attach(made.name)).slot(1)[:3]) == b"abc"
        assert made.hold_name() is segment.Name.HELD
    finally:
        made.destroy()
    assert names() == set()


def test_the_hidden_name_is_made_anew_and_without_both_the_segment_is_lost() -> None:
    made = segment.create(STATION, SMALL)
    hidden = FOLDER / f".{made.name}"
    try:
        hidden.unlink()
        assert made.hold_name() is segment.Name.HELD
        assert hidden.samefile(FOLDER / made.name)
        hidden.unlink()
        remove_name(made)
        assert made.hold_name() is segment.Name.LOST
    finally:
        made.destroy()


def test_a_folder_in_the_place_of_the_name_is_said_to_be_a_loss_and_leaves_nothing() -> None:
    made = segment.create(STATION, SMALL)
    shared.unlink(made.name)
    (FOLDER / made.name).mkdir()
    try:
        assert made.hold_name() is segment.Name.LOST
    finally:
        (FOLDER / made.name).rmdir()
        made.destroy()
    assert names() == set()


def test_its_memory_is_reserved_at_once_and_not_at_the_first_write() -> None:
    made = segment.create(STATION, SMALL)
    try:
        assert (FOLDER / made.name).stat().st_blocks * 512 >= made.arena.layout.size
    finally:
        made.destroy()


def test_a_segment_with_a_group_is_for_its_members_too() -> None:
    import grp

    made = segment.create(STATION, SMALL, grp.getgrgid(os.getgid()).gr_name)
    try:
        assert (FOLDER / made.name).stat().st_mode & 0o777 == 0o660
    finally:
        made.destroy()


def test_a_group_that_does_not_exist_is_a_bad_configuration_and_leaves_no_name() -> None:
    with pytest.raises(ConfigError, match=r"host\.group: 'no-such-group'"):
        segment.create(STATION, SMALL, "no-such-group")
    assert names() == set()


def test_a_segment_that_does_not_fit_is_told_with_figures_and_leaves_no_name() -> None:
    with pytest.raises(StationError, match=r"shared memory: \d{13} bytes are needed, \d+ are free") as told:
        segment.create(STATION, SlotsConfig(count=4096, capacity_bytes=2**31))
    assert told.value.code == ErrorCode.DISK
    assert "fewer or smaller slots" in told.value.hint
    assert int(told.value.message.split("needed, ")[1].split()[0]) <= shutil.disk_usage(FOLDER).total
    assert names() == set()


def test_the_sweep_takes_what_runners_of_this_station_left_when_they_died(forged: list[str]) -> None:
    me = psutil.Process()
    stale = [
        forge(forged, f"pv-{STATION}-{'0' * 8}-{me.pid}-{segment.start_of(me.pid)}"),  # before this boot
        forge(forged, f"pv-{STATION}-{segment.boot_id()}-{dead_process()}-1"),
        forge(forged, f"pv-{STATION}-{segment.boot_id()}-{me.pid}-1"),  # the process id was given away again
        forge(forged, f"pv-{STATION}-{segment.boot_id()}-{'9' * 30}-1"),
    ]
    (FOLDER / f".{stale[0]}").write_bytes(b"left")
    hidden_alone = f"pv-{STATION}-{'0' * 8}-2-2"
    (FOLDER / f".{hidden_alone}").write_bytes(b"left")
    stale.append(hidden_alone)
    assert sorted(segment.sweep(STATION)) == sorted(stale)
    assert names() == set()
    assert segment.sweep(STATION) == []


def test_the_sweep_leaves_the_living_and_the_foreign_alone(forged: list[str]) -> None:
    living = f"{segment.boot_id()}-{os.getppid()}-{segment.start_of(os.getppid())}"
    kept = [
        forge(forged, f"pv-{STATION}-{living}"),
        forge(forged, f"pv-{STATION}-b-{'0' * 8}-1-1"),  # station "<this>-b"
        forge(forged, f"pv-{STATION}-{'0' * 8}-1"),
        forge(forged, f"pv-{STATION}-{'0' * 8}-1-1-mine"),
        forge(forged, f"pv-{STATION}-{'X' * 8}-1-1"),
        forge(forged, f"pvdev-{STATION}-{'0' * 8}-1-1"),
        forge(forged, f"psm_{STATION}-{'0' * 8}-1-1"),
    ]
    assert segment.sweep(STATION) == []
    assert names() == set(kept)


def test_a_stale_segment_of_another_user_does_not_stop_the_station(
    forged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = forge(forged, f"pv-{STATION}-{'0' * 8}-1-1")
    theirs = forge(forged, f"pv-{STATION}-{'0' * 8}-1-2")
    unlink = shared.unlink

    def refused(name: str) -> bool:
        if name == theirs:
            raise PermissionError(13, "Permission denied")
        return unlink(name)

    with monkeypatch.context() as patch:
        patch.setattr(shared, "unlink", refused)
        assert segment.sweep(STATION) == [mine]


def test_a_process_keeps_its_start_whatever_the_time_of_day_and_a_dead_one_has_none() -> None:
    fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
    assert segment.start_of(os.getpid()) == int(fields[19])
    with pytest.raises(psutil.NoSuchProcess):
        segment.start_of(dead_process())


def test_a_name_has_room_for_the_longest_station() -> None:
    assert len(segment.own_name("s" * 24)) < 100
