"""Who may use which slot: lease, fill, hand over, settle, quarantine (spec.md §3, §4).

    FREE --lease--> LEASED (a host fills it) --hand_over--> IN USE (workers read it) --settle--> FREE, or LEASED again
                                                               `- a worker may see it: QUARANTINED until it is gone

Protects: a slot is never refilled while a view or a living reader may exist; a stale generation is refused. The last
slot that became free is leased first: its pages are still in the caches.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from procvision_sdk.arena import Arena, SlotReference
from procvision_sdk.errors import ErrorCode, SharedMemoryError, StationError


@dataclass(slots=True)
class _Slot:
    generation: int = 0
    owner: Hashable | None = None
    uses: int = 0
    held_by: set[Hashable] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Granted:
    """A lease as the host is told of it; `offset` counts from the start of the segment."""

    shared_mem_id: str
    segment: str
    offset: int
    capacity: int


class SlotPool:
    """All slots of one arena. Owners and workers are opaque identities; nothing here waits or reads a pixel."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._slots = [_Slot() for _ in range(arena.layout.slot_count)]
        self._free = list(reversed(range(arena.layout.slot_count)))
        self._living: set[Hashable] = set()
        self.most_leased = 0

    @property
    def capacity(self) -> int:
        """Bytes of one slot."""
        return self._arena.layout.slot_capacity

    @property
    def free(self) -> int:
        return len(self._free)

    @property
    def quarantined(self) -> int:
        """Slots that wait for the end of a worker."""
        return sum(1 for slot in self._slots if slot.held_by)

    def lease(self, owner: Hashable) -> Granted:
        """The right to fill a slot; StationError (3001) when none is free: never an overwritten image."""
        if not self._free:
            raise StationError(
                f"all {len(self._slots)} slots are in use ({self.quarantined} in quarantine)",
                hint="release leases that are not needed, or raise slots.count",
                code=ErrorCode.BUSY,
            )
        index = self._free.pop()
        slot = self._slots[index]
        slot.owner = owner
        slot.generation += 1
        self._arena.set_generation(index, slot.generation)
        self.most_leased = max(self.most_leased, len(self._slots) - len(self._free))
        reference = SlotReference(self._arena.name, index, slot.generation)
        return Granted(str(reference), self._arena.name, self._arena.layout.offset(index), self.capacity)

    def hand_over(self, owner: Hashable, shared_mem_id: str, needed_bytes: int) -> int:
        """Begin a use of a slot that `owner` has leased and filled; its index.

        SharedMemoryError (4003): not an id of this runner, not leased by this owner, stale, or too small.
        """
        index = self._find(owner, shared_mem_id)
        if needed_bytes > self.capacity:
            raise SharedMemoryError(
                f"image_meta needs {needed_bytes} bytes, a slot has {self.capacity}", hint="raise slots.capacity_bytes"
            )
        self._slots[index].uses += 1
        return index

    def consume(self, index: int) -> None:
        """The host gives its lease up with this use."""
        self._slots[index].owner = None

    def settle(self, index: int, held_by: Iterable[Hashable] = ()) -> None:
        """End a use; workers in `held_by` may still see the slot until `worker_gone`."""
        slot = self._slots[index]
        slot.uses -= 1
        slot.held_by.update(worker for worker in held_by if worker in self._living)
        self._free_if_unused(index)

    def release(self, owner: Hashable, shared_mem_id: str) -> None:
        """Give an unused lease back; SharedMemoryError when it is not this owner's."""
        index = self._find(owner, shared_mem_id)
        self._slots[index].owner = None
        self._free_if_unused(index)

    def owner_gone(self, owner: Hashable) -> None:
        """A link ended: its leases end with it; slots in use follow when their use is settled."""
        for index, slot in enumerate(self._slots):
            if slot.owner == owner:
                slot.owner = None
                self._free_if_unused(index)

    def worker_started(self, worker: Hashable) -> None:
        """From now on this worker can hold slots."""
        self._living.add(worker)

    def worker_gone(self, worker: Hashable) -> None:
        """A worker has been reaped: nothing of it can see a slot any more."""
        self._living.discard(worker)
        for index, slot in enumerate(self._slots):
            if worker in slot.held_by:
                slot.held_by.discard(worker)
                self._free_if_unused(index)

    def held_by(self, worker: Hashable) -> int:
        """How many slots this worker keeps in quarantine."""
        return sum(1 for slot in self._slots if worker in slot.held_by)

    def _find(self, owner: Hashable, shared_mem_id: str) -> int:
        reference = SlotReference.parse(shared_mem_id)
        if reference is None or reference.segment != self._arena.name:
            raise SharedMemoryError(
                f"{shared_mem_id!r:.120} is no slot of this runner", hint="lease a slot and use the id it came with"
            )
        if reference.slot >= len(self._slots):
            raise SharedMemoryError(f"slot {reference.slot} does not exist: there are {len(self._slots)}")
        slot = self._slots[reference.slot]
        if reference.generation != slot.generation:
            raise SharedMemoryError(
                f"{shared_mem_id!r:.120} is stale: slot {reference.slot} is at generation {slot.generation}"
            )
        if slot.owner != owner:
            raise SharedMemoryError(f"slot {reference.slot} is not leased by this link", hint="its lease was used up")
        return reference.slot

    def _free_if_unused(self, index: int) -> None:
        slot = self._slots[index]
        if slot.owner is None and slot.uses == 0 and not slot.held_by:
            self._free.append(index)
