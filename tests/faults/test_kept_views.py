"""An algorithm that keeps an image keeps its slot too, until its process is replaced (spec.md §3.8, §3.20)."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.host.client import RefusedError
from tests.doubles.daemon import IMAGE, SLOTS, inspect, serving, worker_in


@pytest.mark.fault("A34")
@pytest.mark.parametrize("how", ["view", "slice", "closure"])
def test_a_slot_whose_image_is_kept_is_not_given_away_and_the_second_one_ends_the_process(
    tmp_path: Path, how: str
) -> None:
    with serving(tmp_path, "keeping") as daemon, daemon.client() as client:
        daemon.wait_ready()
        first = inspect(client, "K1", user_params={"how": how})
        assert (first["status"], first["data"]["result_status"]) == ("OK", "OK")  # its verdict is good
        status = client.status()
        assert (status["slots"]["quarantined"], status["slots"]["free"]) == (1, SLOTS - 1)
        assert worker_in(status, "keeping")["slots_held"] == 1
        second = inspect(client, "K1", user_params={"how": how})
        assert (second["status"], second["incarnation"]) == ("OK", 1)
        after = inspect(client, "K1")
        assert (after["status"], after["incarnation"]) == ("OK", 2)
        slots = client.status()["slots"]
        assert (slots["quarantined"], slots["free"]) == (0, SLOTS)


def test_a_quarantined_slot_cannot_be_leased(tmp_path: Path) -> None:
    with serving(tmp_path, "keeping") as daemon, daemon.client() as client:
        daemon.wait_ready()
        kept = client.lease()
        kept_offset = kept.offset
        client.release(kept)
        inspect(client, "K1", user_params={"how": "view"})  # the same slot: it became free last
        leases = [client.lease() for _ in range(SLOTS - 1)]
        assert kept_offset not in {lease.offset for lease in leases}
        with pytest.raises(RefusedError, match="1 in quarantine"):
            client.lease()


def test_a_copy_may_be_kept(tmp_path: Path) -> None:
    with serving(tmp_path, "keeping") as daemon, daemon.client() as client:
        daemon.wait_ready()
        results = [inspect(client, "K1", user_params={"how": "copy"}) for _ in range(3 * SLOTS)]
        assert {one["incarnation"] for one in results} == {1}
        assert client.status()["slots"]["quarantined"] == 0


def test_a_host_that_keeps_its_lease_does_not_free_a_slot_in_quarantine_by_releasing_it(tmp_path: Path) -> None:
    with serving(tmp_path, "keeping") as daemon, daemon.client() as client:
        daemon.wait_ready()
        lease = client.lease()
        meta = lease.put(IMAGE)
        assert client.inspect("K1", lease, meta, user_params={"how": "view"}, keep=True)["status"] == "OK"
        client.release(lease)
        slots = client.status()["slots"]
        assert (slots["quarantined"], slots["free"]) == (1, SLOTS - 1)
