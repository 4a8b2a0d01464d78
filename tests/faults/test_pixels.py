"""Pixels are lent: kept, drawn on or written to behind the back of the view (spec.md §3.4, §3.8, §3.20)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import IMAGE, SLOTS, inspect


@pytest.mark.fault("A34")
@pytest.mark.parametrize("how", ["view", "slice", "closure"])
def test_a_kept_view_costs_its_slot_until_the_process_is_replaced(tmp_path: Path, how: str) -> None:
    with around_a_fault(tmp_path, "keeping") as daemon, daemon.client() as client:
        first = inspect(client, "K1", user_params={"how": how})
        assert (first["status"], first["incarnation"]) == ("OK", 1)
        slots = client.status()["slots"]
        assert (slots["quarantined"], slots["free"]) == (1, SLOTS - 1)
        assert inspect(client, "K1", user_params={"how": how})["status"] == "OK"
        after = inspect(client, "K1")
        assert (after["status"], after["incarnation"], after["attempts"]) == ("OK", 2, 1)
        slots = client.status()["slots"]
        assert (slots["quarantined"], slots["free"]) == (0, SLOTS)


@pytest.mark.fault("A36")
@pytest.mark.parametrize("how", ["draw", "unlock"])
def test_drawing_on_the_image_is_refused_by_numpy_and_no_byte_changes(tmp_path: Path, how: str) -> None:
    with around_a_fault(tmp_path, "drawing") as daemon, daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        result = client.inspect("D1", lease, meta, user_params={"how": how}, keep=True)
        assert (result["status"], result["error_code"], result["attempts"]) == ("ERROR", "1009", 1)
        assert "image.copy()" in result["hint"]
        assert np.array_equal(lease.array(meta), IMAGE)
        client.release(lease)


@pytest.mark.fault("A35", "A36")
def test_writing_to_the_address_of_the_pixels_ends_the_writer_and_no_byte_changes(tmp_path: Path) -> None:
    with around_a_fault(tmp_path, "addressing") as daemon, daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        result = client.inspect("A1", lease, meta, user_params={"how": "write"}, keep=True)
        assert (result["error_code"], result["attempts"]) == ("3005", 2)
        assert "SIGSEGV" in result["message"]
        assert np.array_equal(lease.array(meta), IMAGE)
        client.release(lease)
        after = inspect(client, "A1")
        assert (after["status"], after["incarnation"]) == ("OK", 3)
