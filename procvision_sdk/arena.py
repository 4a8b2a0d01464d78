"""The segment of slots as all three sides read it: runner, host and worker (spec.md §3).

    page 0     magic "PVSA", layout, slot_count, slot_capacity, data_offset | 64 bytes per slot: generation, unused
    page n..   slot 0, slot 1, ... each `slot_stride` bytes, page aligned

Only the runner writes the first pages. A generation counts the leases of a slot: an id with another one is stale.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import msgspec

from procvision_sdk.errors import SharedMemoryError

MAGIC = b"PVSA"
LAYOUT = 1
PAGE_BYTES = 4096
_HEADER = struct.Struct("<4sIIIQQ")
_GENERATION = struct.Struct("<Q")
_ENTRY_BYTES = 64
# One spelling per slot: no leading zeros.
_REFERENCE = re.compile(r"pv1\.([A-Za-z0-9_-]{1,200})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,18})", re.ASCII)


def _whole_pages(size: int) -> int:
    return -(-size // PAGE_BYTES) * PAGE_BYTES


class SlotReference(msgspec.Struct, frozen=True):
    """What an id `pv1.<segment>.<slot>.<generation>` names."""

    segment: str
    slot: int
    generation: int

    def __str__(self) -> str:
        return f"pv1.{self.segment}.{self.slot}.{self.generation}"

    @classmethod
    def parse(cls, shared_mem_id: str) -> SlotReference | None:
        """The slot an id names, or None when it is a development image's id."""
        found = _REFERENCE.fullmatch(shared_mem_id)
        return cls(found[1], int(found[2]), int(found[3])) if found else None


@dataclass(frozen=True, slots=True)
class ArenaLayout:
    """How many slots of how many bytes, and where they lie."""

    slot_count: int
    slot_capacity: int

    @property
    def slot_stride(self) -> int:
        return _whole_pages(self.slot_capacity)

    @property
    def data_offset(self) -> int:
        return _whole_pages(_ENTRY_BYTES * (1 + self.slot_count))

    @property
    def size(self) -> int:
        return self.data_offset + self.slot_count * self.slot_stride

    def offset(self, slot: int) -> int:
        return self.data_offset + slot * self.slot_stride


class Arena:
    """A mapped segment of slots; read-only or not as its mapping is."""

    __slots__ = ("_root", "layout", "name")

    def __init__(self, name: str, root: memoryview, layout: ArenaLayout) -> None:
        self.name = name
        self.layout = layout
        self._root = root

    @classmethod
    def format(cls, name: str, root: memoryview, layout: ArenaLayout) -> Arena:
        """Write the first pages of a new segment; the runner alone does this, once."""
        _HEADER.pack_into(root, 0, MAGIC, LAYOUT, layout.slot_count, 0, layout.slot_capacity, layout.data_offset)
        return cls(name, root, layout)

    @classmethod
    def read(cls, name: str, root: memoryview) -> Arena:
        """The arena in an existing segment; SharedMemoryError when the segment is something else."""
        layout = cls.layout_of(name, root)
        if layout.size > len(root):
            raise SharedMemoryError(f"segment {name}: its header speaks of {layout.size} bytes, it has {len(root)}")
        return cls(name, root, layout)

    @staticmethod
    def layout_of(name: str, header: memoryview) -> ArenaLayout:
        if len(header) < _HEADER.size:
            raise SharedMemoryError(f"segment {name}: {len(header)} bytes are too few for a header")
        magic, version, count, _, capacity, data_offset = _HEADER.unpack_from(header, 0)
        layout = ArenaLayout(count, capacity)
        if magic != MAGIC or version != LAYOUT or layout.data_offset != data_offset:
            raise SharedMemoryError(f"segment {name}: not a slot arena of layout {LAYOUT}")
        return layout

    def generation(self, slot: int) -> int:
        generation: int = _GENERATION.unpack_from(self._root, _ENTRY_BYTES * (1 + slot))[0]
        return generation

    def set_generation(self, slot: int, generation: int) -> None:
        _GENERATION.pack_into(self._root, _ENTRY_BYTES * (1 + slot), generation)

    def slot(self, slot: int) -> memoryview:
        """The bytes of one slot; writable where the mapping is."""
        start = self.layout.offset(slot)
        return self._root[start : start + self.layout.slot_capacity]

    def checked(self, reference: SlotReference) -> memoryview:
        """The bytes an id names; SharedMemoryError when the slot does not exist or was given away since."""
        if reference.slot >= self.layout.slot_count:
            raise SharedMemoryError(f"slot {reference.slot}: segment {self.name} has {self.layout.slot_count} slots")
        now = self.generation(reference.slot)
        if now != reference.generation:
            raise SharedMemoryError(
                f"slot {reference.slot} is at generation {now}, the id names {reference.generation}: it is stale"
            )
        return self.slot(reference.slot)
