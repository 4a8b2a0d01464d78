"""The segment of slots: where they lie, what an id names, and which ids are stale (spec.md §3)."""

from __future__ import annotations

import struct

import pytest

from procvision_sdk.arena import Arena, ArenaLayout, SlotReference
from procvision_sdk.errors import SharedMemoryError

LAYOUT = ArenaLayout(slot_count=3, slot_capacity=5000)


def formatted() -> Arena:
    return Arena.format("pv-test", memoryview(bytearray(LAYOUT.size)), LAYOUT)


def test_slots_begin_at_pages_behind_the_table_and_do_not_overlap() -> None:
    assert (LAYOUT.data_offset, LAYOUT.slot_stride, LAYOUT.size) == (4096, 8192, 4096 + 3 * 8192)
    assert [LAYOUT.offset(slot) for slot in range(3)] == [4096, 12288, 20480]
    assert ArenaLayout(64, 1).data_offset == 2 * 4096
    arena = formatted()
    for slot in range(3):
        arena.slot(slot)[:] = bytes([slot + 1]) * 5000
        arena.set_generation(slot, slot + 10)
    assert [bytes(arena.slot(slot)) for slot in range(3)] == [bytes([slot + 1]) * 5000 for slot in range(3)]
    assert [arena.generation(slot) for slot in range(3)] == [10, 11, 12]


def test_a_reader_finds_the_layout_that_was_written() -> None:
    root = memoryview(bytearray(LAYOUT.size))
    Arena.format("pv-test", root, LAYOUT).set_generation(2, 7)
    read = Arena.read("pv-test", root.toreadonly())
    assert read.layout == LAYOUT and read.generation(2) == 7
    with pytest.raises(TypeError):
        read.set_generation(2, 8)


@pytest.mark.parametrize(
    ("offset", "patch", "reason"),
    [
        (0, b"PVSB", "not a slot arena"),
        (4, struct.pack("<I", 2), "not a slot arena of layout 1"),
        (8, struct.pack("<I", 2**32 - 1), "not a slot arena"),
        (16, struct.pack("<Q", 2**60), "its header speaks of"),
        (24, struct.pack("<Q", 0), "not a slot arena"),
    ],
)
def test_a_segment_that_is_something_else_is_refused(offset: int, patch: bytes, reason: str) -> None:
    root = bytearray(formatted()._root)
    root[offset : offset + len(patch)] = patch
    with pytest.raises(SharedMemoryError, match=reason):
        Arena.read("pv-test", memoryview(root))


def test_a_segment_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(SharedMemoryError, match="too few for a header"):
        Arena.read("pv-test", memoryview(bytes(8)))
    with pytest.raises(SharedMemoryError, match="speaks of"):
        Arena.read("pv-test", formatted()._root[:-1])


def test_only_the_present_generation_of_an_existing_slot_is_given() -> None:
    arena = formatted()
    arena.set_generation(1, 5)
    arena.slot(1)[0] = 9
    assert arena.checked(SlotReference("pv-test", 1, 5))[0] == 9
    for generation in (4, 6):
        with pytest.raises(SharedMemoryError, match="it is stale"):
            arena.checked(SlotReference("pv-test", 1, generation))
    with pytest.raises(SharedMemoryError, match="has 3 slots"):
        arena.checked(SlotReference("pv-test", 3, 0))


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("pv1.pv-a-1.0.0", SlotReference("pv-a-1", 0, 0)),
        ("pv1.seg.12.345", SlotReference("seg", 12, 345)),
        ("pv1.seg.01.1", None),
        ("pv1.seg.1.01", None),
        ("pv1.seg.1", None),
        ("pv1.seg.1.2.3", None),
        ("pv1..1.2", None),
        ("pv1.../x.1.2", None),
        ("pv1.seg.-1.2", None),
        ("pv1.seg.1.2\n", None),
        ("pv1.seg.\u0661.2", None),
        ("pv1.seg.1." + "9" * 20, None),
        ("shm:sid-1", None),
        ("", None),
    ],
)
def test_an_id_names_a_slot_in_one_spelling_or_is_another_image(text: str, reference: SlotReference | None) -> None:
    assert SlotReference.parse(text) == reference
    if reference is not None:
        assert str(reference) == text
