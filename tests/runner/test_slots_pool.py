"""Who may use which slot: leases, generations, uses and quarantine, over an arena in plain memory (spec.md §3, §4)."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from procvision_sdk.arena import Arena, ArenaLayout, SlotReference
from procvision_sdk.errors import ErrorCode, SharedMemoryError, StationError
from runner.slots.pool import Granted, SlotPool

NAME = "pv-test"


def arena_of(count: int) -> Arena:
    layout = ArenaLayout(count, 4096)
    return Arena.format(NAME, memoryview(bytearray(layout.size)), layout)


def pool_of(count: int) -> SlotPool:
    return SlotPool(arena_of(count))


def slot_of(granted: Granted) -> int:
    reference = SlotReference.parse(granted.shared_mem_id)
    assert reference is not None
    return reference.slot


def test_a_lease_names_slot_generation_place_and_size() -> None:
    arena = arena_of(3)
    pool = SlotPool(arena)
    first, second = pool.lease("host"), pool.lease("host")
    assert first == Granted("pv1.pv-test.0.1", NAME, arena.layout.offset(0), 4096)
    assert second == Granted("pv1.pv-test.1.1", NAME, arena.layout.offset(1), 4096)
    assert (arena.generation(0), arena.generation(1), arena.generation(2)) == (1, 1, 0)
    assert (pool.free, pool.most_leased, pool.capacity) == (1, 2, 4096)


def test_no_free_slot_is_busy_and_nothing_is_overwritten() -> None:
    pool = pool_of(1)
    lease = pool.lease("a")
    with pytest.raises(StationError, match=r"all 1 slots are in use \(0 in quarantine\)") as told:
        pool.lease("b")
    assert told.value.code == ErrorCode.BUSY
    assert pool.hand_over("a", lease.shared_mem_id, 1) == 0


def test_the_slot_that_became_free_last_is_leased_first() -> None:
    pool = pool_of(3)
    leases = [pool.lease("host") for _ in range(3)]
    for lease in (leases[2], leases[0], leases[1]):
        pool.release("host", lease.shared_mem_id)
    assert [slot_of(pool.lease("host")) for _ in range(3)] == [1, 0, 2]


def test_each_lease_of_a_slot_has_a_new_generation_and_the_old_id_is_stale() -> None:
    pool = pool_of(1)
    old = pool.lease("host")
    pool.release("host", old.shared_mem_id)
    new = pool.lease("host")
    assert new.shared_mem_id == "pv1.pv-test.0.2"
    for use in (lambda: pool.hand_over("host", old.shared_mem_id, 1), lambda: pool.release("host", old.shared_mem_id)):
        with pytest.raises(SharedMemoryError, match="is stale: slot 0 is at generation 2"):
            use()
    assert pool.hand_over("host", new.shared_mem_id, 1) == 0


@pytest.mark.parametrize(
    ("shared_mem_id", "told"),
    [
        ("", "'' is no slot of this runner"),
        ("my-development-image", "is no slot of this runner"),
        ("pv1.pv-other.0.1", "is no slot of this runner"),
        ("pv1.pv-test.00.1", "is no slot of this runner"),
        ("pv1.pv-test.0.1 ", "is no slot of this runner"),
        ("pv1.pv-test.-1.1", "is no slot of this runner"),
        ("pv1.pv-test.7.1", "slot 7 does not exist: there are 2"),
        ("pv1.pv-test.0.2", "is stale: slot 0 is at generation 1"),
        ("pv1.pv-test.0.0", "is stale: slot 0 is at generation 1"),
        ("pv1.pv-test.1.0", "slot 1 is not leased by this link"),
    ],
)
def test_an_id_that_is_no_lease_of_this_owner_is_refused(shared_mem_id: str, told: str) -> None:
    pool = pool_of(2)
    pool.lease("host")
    for use in (lambda: pool.hand_over("host", shared_mem_id, 1), lambda: pool.release("host", shared_mem_id)):
        with pytest.raises(SharedMemoryError, match=told) as refused:
            use()
        assert refused.value.code == ErrorCode.SHARED_MEMORY
    assert pool.free == 1


def test_a_lease_is_of_no_use_to_another_owner() -> None:
    pool = pool_of(1)
    lease = pool.lease("mine")
    with pytest.raises(SharedMemoryError, match="not leased by this link"):
        pool.hand_over("theirs", lease.shared_mem_id, 1)
    with pytest.raises(SharedMemoryError, match="not leased by this link"):
        pool.release("theirs", lease.shared_mem_id)
    assert pool.hand_over("mine", lease.shared_mem_id, 1) == 0


def test_an_image_that_needs_more_than_a_slot_is_refused_and_the_lease_stays() -> None:
    pool = pool_of(1)
    lease = pool.lease("host")
    with pytest.raises(SharedMemoryError, match="image_meta needs 4097 bytes, a slot has 4096"):
        pool.hand_over("host", lease.shared_mem_id, 4097)
    assert pool.hand_over("host", lease.shared_mem_id, 4096) == 0


def test_a_consumed_lease_is_over_at_once_and_its_slot_is_free_after_the_use() -> None:
    pool = pool_of(1)
    lease = pool.lease("host")
    slot = pool.hand_over("host", lease.shared_mem_id, 1)
    pool.consume(slot)
    with pytest.raises(SharedMemoryError, match="not leased by this link"):
        pool.hand_over("host", lease.shared_mem_id, 1)
    assert pool.free == 0
    pool.settle(slot)
    assert pool.free == 1


def test_a_kept_lease_is_inspected_twice_at_a_time_and_is_still_the_hosts() -> None:
    pool = pool_of(1)
    lease = pool.lease("host")
    pool.hand_over("host", lease.shared_mem_id, 1)
    pool.hand_over("host", lease.shared_mem_id, 1)
    pool.settle(0)
    pool.settle(0)
    assert pool.free == 0
    pool.release("host", lease.shared_mem_id)
    assert pool.free == 1


def test_a_lease_released_in_the_middle_of_a_use_is_free_after_it() -> None:
    pool = pool_of(1)
    lease = pool.lease("host")
    pool.hand_over("host", lease.shared_mem_id, 1)
    pool.release("host", lease.shared_mem_id)
    assert pool.free == 0
    pool.settle(0)
    assert pool.free == 1


def test_leases_end_with_their_owner_and_those_in_use_after_the_use() -> None:
    pool = pool_of(4)
    used, _, other = pool.lease("gone"), pool.lease("gone"), pool.lease("stays")
    slot = pool.hand_over("gone", used.shared_mem_id, 1)
    pool.owner_gone("gone")
    assert pool.free == 2
    pool.settle(slot)
    assert pool.free == 3
    assert pool.hand_over("stays", other.shared_mem_id, 1) == slot_of(other)
    pool.owner_gone("nobody")
    assert pool.free == 3


def test_a_slot_that_a_worker_may_see_is_free_when_that_worker_is_gone() -> None:
    pool = pool_of(1)
    for worker in ("w1", "w2"):
        pool.worker_started(worker)
    slot = pool.hand_over("host", pool.lease("host").shared_mem_id, 1)
    pool.consume(slot)
    pool.settle(slot, {"w1", "w2"})
    assert (pool.free, pool.quarantined, pool.held_by("w1"), pool.held_by("w3")) == (0, 1, 1, 0)
    with pytest.raises(StationError, match="1 in quarantine"):
        pool.lease("host")
    pool.worker_gone("w1")
    assert (pool.free, pool.quarantined) == (0, 1)
    pool.worker_gone("w2")
    assert (pool.free, pool.quarantined) == (1, 0)


def test_a_worker_that_is_gone_already_holds_nothing() -> None:
    pool = pool_of(1)
    pool.worker_started("w")
    slot = pool.hand_over("host", pool.lease("host").shared_mem_id, 1)
    pool.consume(slot)
    pool.worker_gone("w")
    pool.settle(slot, {"w"})
    assert (pool.free, pool.quarantined) == (1, 0)


class Slots(RuleBasedStateMachine):
    """Three hosts, three workers, four slots: a model of who has what, compared after every step."""

    COUNT = 4
    HOSTS = st.sampled_from(["h0", "h1", "h2"])
    WORKERS = st.sampled_from(["w0", "w1", "w2"])

    def __init__(self) -> None:
        super().__init__()
        self.arena = arena_of(self.COUNT)
        self.pool = SlotPool(self.arena)
        self.owner: dict[int, tuple[str, str]] = {}
        self.uses: list[int] = []
        self.held: dict[int, set[str]] = {slot: set() for slot in range(self.COUNT)}
        self.living: set[str] = set()
        self.generations = [0] * self.COUNT

    def taken(self) -> set[int]:
        return {*self.owner, *self.uses, *(slot for slot, workers in self.held.items() if workers)}

    @rule(host=HOSTS)
    def lease(self, host: str) -> None:
        if len(self.taken()) == self.COUNT:
            with pytest.raises(StationError):
                self.pool.lease(host)
            return
        granted = self.pool.lease(host)
        slot = slot_of(granted)
        assert slot not in self.taken()
        self.generations[slot] += 1
        self.owner[slot] = (host, granted.shared_mem_id)

    @precondition(lambda self: self.owner)
    @rule(data=st.data(), keep=st.booleans())
    def hand_over(self, data: st.DataObject, keep: bool) -> None:
        slot = data.draw(st.sampled_from(sorted(self.owner)))
        host, shared_mem_id = self.owner[slot]
        assert self.pool.hand_over(host, shared_mem_id, 1) == slot
        self.uses.append(slot)
        if not keep:
            self.pool.consume(slot)
            del self.owner[slot]

    @precondition(lambda self: self.uses)
    @rule(data=st.data(), workers=st.sets(WORKERS))
    def settle(self, data: st.DataObject, workers: set[str]) -> None:
        slot = data.draw(st.sampled_from(self.uses))
        self.uses.remove(slot)
        self.held[slot] |= workers & self.living
        self.pool.settle(slot, workers)

    @precondition(lambda self: self.owner)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.owner)))
        self.pool.release(*self.owner.pop(slot))

    @rule(host=HOSTS)
    def owner_gone(self, host: str) -> None:
        self.pool.owner_gone(host)
        self.owner = {slot: lease for slot, lease in self.owner.items() if lease[0] != host}

    @rule(worker=WORKERS)
    def worker_started(self, worker: str) -> None:
        self.pool.worker_started(worker)
        self.living.add(worker)

    @rule(worker=WORKERS)
    def worker_gone(self, worker: str) -> None:
        self.pool.worker_gone(worker)
        self.living.discard(worker)
        for workers in self.held.values():
            workers.discard(worker)

    @rule(slot=st.integers(0, COUNT - 1), behind=st.integers(1, 3), host=HOSTS)
    def an_older_generation_is_never_taken(self, slot: int, behind: int, host: str) -> None:
        if self.generations[slot] >= behind:
            stale = str(SlotReference(NAME, slot, self.generations[slot] - behind))
            with pytest.raises(SharedMemoryError):
                self.pool.hand_over(host, stale, 1)

    @invariant()
    def every_slot_is_free_or_taken_and_never_both(self) -> None:
        assert self.pool.free == self.COUNT - len(self.taken())
        assert self.pool.quarantined == sum(1 for workers in self.held.values() if workers)
        assert all(
            self.pool.held_by(worker) == sum(worker in workers for workers in self.held.values())
            for worker in ("w0", "w1", "w2")
        )

    @invariant()
    def the_segment_shows_the_generation_of_the_last_lease(self) -> None:
        assert [self.arena.generation(slot) for slot in range(self.COUNT)] == self.generations


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
