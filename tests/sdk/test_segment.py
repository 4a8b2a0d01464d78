"""Named shared memory: reserved at creation, attached read-only and untracked, gone when unlinked (spec.md §3)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from procvision_sdk import segment
from procvision_sdk.errors import SharedMemoryError, StationError

NAME = f"pvtest-{os.getpid()}"


@pytest.fixture
def name() -> Iterator[str]:
    yield NAME
    segment.unlink(NAME)


def test_what_is_written_by_its_creator_is_read_by_who_attaches(name: str) -> None:
    mapping = segment.create(name, 5000)
    mapping[:3] = b"abc"
    view = segment.attach(name)
    assert (bytes(view[:3]), len(view), bytes(view[3:])) == (b"abc", 5000, b"\0" * 4997)
    assert len(segment.attach(name, 64)) == 64
    writable = segment.attach_writable(name)
    writable[0:1] = b"x"
    assert view[0] == ord("x")


def test_an_attached_segment_cannot_be_made_writable(name: str) -> None:
    segment.create(name, 64)
    view = segment.attach(name)
    with pytest.raises(TypeError):
        view[0] = 1
    array = np.frombuffer(view, np.uint8)
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        array.flags.writeable = True


def test_an_array_keeps_its_memory_when_the_name_is_gone(name: str) -> None:
    segment.create(name, 64)[:1] = b"a"
    array = np.frombuffer(segment.attach(name), np.uint8)
    assert segment.unlink(name) and not segment.unlink(name)
    assert array[0] == ord("a")
    with pytest.raises(SharedMemoryError, match="no shared memory is named"):
        segment.attach(name)


def test_a_process_that_attached_and_ends_does_not_take_the_segment_away(name: str) -> None:
    segment.create(name, 64)
    code = f"from procvision_sdk import segment; assert len(segment.attach({name!r})) == 64"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert len(segment.attach(name)) == 64


def test_the_memory_is_reserved_and_private_and_taken_names_are_refused(name: str) -> None:
    segment.create(name, 1 << 20)
    status = Path(f"/dev/shm/{name}").stat()
    assert status.st_blocks * 512 >= 1 << 20
    assert status.st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        segment.create(name, 64)


def test_a_mode_for_a_group_of_hosts_is_not_cut_by_the_umask(name: str) -> None:
    before = os.umask(0o077)
    try:
        segment.create(name, 64, 0o660)
    finally:
        os.umask(before)
    assert Path(f"/dev/shm/{name}").stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize("size", [1 << 50, 1 << 62, 1 << 80])
def test_too_little_room_is_told_with_both_figures_and_leaves_no_name(name: str, size: int) -> None:
    with pytest.raises(StationError, match=rf"{size} bytes are needed, \d+ are free") as caught:
        segment.create(name, size)
    assert caught.value.code == "3007" and caught.value.hint
    assert not segment.unlink(name)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "/a", "../etc/passwd", "a\0b", "a b", "ä", "x" * 300])
def test_a_name_that_is_no_plain_file_name_is_refused(bad: str) -> None:
    with pytest.raises(SharedMemoryError, match="expected a name"):
        segment.attach(bad)
    with pytest.raises(SharedMemoryError, match="expected a name"):
        segment.unlink(bad)
    with pytest.raises(SharedMemoryError, match="expected a name"):
        segment.create(bad, 64)


@pytest.mark.parametrize("size", [0, -1])
def test_an_empty_segment_is_not_made(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="expected a size of 1 byte or more"):
        segment.create(name, size)


def test_what_is_shorter_than_expected_or_no_memory_at_all_is_refused(name: str) -> None:
    segment.create(name, 64)
    with pytest.raises(SharedMemoryError, match="holds 64 bytes, expected 65 or more"):
        segment.attach(name, 65)
    path = Path(f"/dev/shm/{name}-other")
    kinds: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (path.mkdir, path.rmdir),
        (lambda: os.mkfifo(path), path.unlink),
        (path.touch, path.unlink),
    ]
    for make, remove in kinds:
        make()
        try:
            with pytest.raises(SharedMemoryError):
                segment.attach(path.name)
        finally:
            remove()
