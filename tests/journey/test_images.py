"""Pixels travel through slots: read where the host wrote them, decoded once, never invented (spec.md §3)."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from procvision_sdk.arena import SlotReference
from tests.doubles.daemon import IMAGE, SLOTS, Daemon, serving

META: dict[str, Any] = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("s"), "steady", "drawing", "copying") as running:
        running.wait_ready()
        yield running


def encoded(kind: str, image: np.ndarray[Any, Any] = IMAGE) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **({"quality": 95} if kind == "jpeg" else {}))
    return file.getvalue()


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_an_encoded_image_is_decoded_once_for_both_hooks(daemon: Daemon, kind: str) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put_encoded(encoded(kind), {**META, "encoding": kind})
        result = client.inspect("S1", lease, meta, step_index=1, renew=False)
    assert (result["status"], result["decodes"], result["copies"]) == ("OK", 1, 0)
    expected = np.asarray(Image.open(io.BytesIO(encoded(kind))))
    assert result["data"]["total"] == result["data"]["pre_execute"]["total"] == int(expected.sum())


def test_a_kept_slot_is_decoded_once_however_often_it_is_inspected(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put_encoded(encoded("png"), {**META, "encoding": "png"})
        results = [client.inspect("S1", lease, meta, keep=True) for _ in range(2)]
        client.release(lease)
    assert [one["decodes"] for one in results] == [1, 0]
    assert results[0]["data"]["total"] == results[1]["data"]["total"] == int(IMAGE.sum())


def test_a_truncated_file_is_no_image_although_an_older_ones_tail_lies_behind_it(daemon: Daemon) -> None:
    whole = encoded("jpeg")
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put_encoded(whole, {**META, "encoding": "jpeg"})
        assert client.inspect("S1", lease, meta, step_index=1, keep=True)["status"] == "OK"
        offset = lease.offset
        client.release(lease)
        lease = client.lease()
        assert lease.offset == offset  # the same bytes lie in it
        short = lease.put_encoded(whole[: len(whole) * 2 // 3], {**META, "encoding": "jpeg"})
        result = client.inspect("S1", lease, short, step_index=1, renew=False)
    assert (result["status"], result["error_code"]) == ("ERROR", "1002"), result


@pytest.mark.parametrize(
    ("data", "changed"),
    [
        (b"\0" * 500, {"encoding": "jpeg"}),
        (encoded("png"), {"encoding": "jpeg"}),
        (encoded("jpeg"), {"encoding": "jpeg", "width": 65}),
        (encoded("png")[:60], {"encoding": "png"}),
        (b"", {"encoding": "png", "length_bytes": 1}),
    ],
)
def test_what_is_no_such_image_is_an_error_and_never_a_picture(
    daemon: Daemon, data: bytes, changed: dict[str, Any]
) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = {**lease.put_encoded(data, META), **changed}
        result = client.inspect("S1", lease, meta, step_index=1, renew=False)
    assert (result["status"], result["error_code"]) == ("ERROR", "1002"), result
    assert "result_status" not in result["data"]


def test_an_encoded_image_without_its_length_is_refused(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        lease.put_encoded(encoded("png"), META)
        result = client.inspect("S1", lease, {**META, "encoding": "png"}, step_index=1, renew=False)
    assert result["error_code"] == "1002" and "length_bytes" in result["message"]


@pytest.mark.parametrize(
    ("image", "color_space"),
    [
        (IMAGE[:, :, 0].copy(), "GRAY"),
        (IMAGE, "BGR"),
        (np.dstack([IMAGE, IMAGE[:, :, :1]]), "RGB"),
        (IMAGE.astype(np.uint16) * 200, "RGB"),
        (IMAGE[::2, ::-1], "RGB"),
    ],
)
def test_every_layout_of_array_data_is_seen_without_a_copy(
    daemon: Daemon, image: np.ndarray[Any, Any], color_space: str
) -> None:
    with daemon.client() as client:
        lease = client.lease()
        result = client.inspect("S1", lease, lease.put(image, color_space=color_space), step_index=1, renew=False)
    seen = np.dstack([image] * 3) if image.ndim == 2 else image[:, :, :3]
    assert (result["status"], result["copies"]) == ("OK", 0)
    assert result["data"]["total"] == int(seen.sum())


@pytest.mark.skipif(sys.platform != "linux", reason="where an array lies is read from /proc")
@pytest.mark.parametrize(("how", "copies"), [("rgb", 0), ("bgr", 0), ("native", 0), ("gray", 1), ("sabotaged", 1)])
def test_a_hooks_image_lies_in_the_slots_segment_or_is_counted_as_a_copy(daemon: Daemon, how: str, copies: int) -> None:
    with daemon.client() as client:
        lease = client.lease()
        result = client.inspect("K1", lease, lease.put(IMAGE), user_params={"how": how}, step_index=1, renew=False)
    slot = SlotReference.parse(lease.shared_mem_id)
    assert slot is not None
    assert (result["status"], result["copies"]) == ("OK", copies)
    assert (result["data"]["mapped_from"] == f"/dev/shm/{slot.segment}") is not bool(copies), result["data"]
    assert how == "gray" or result["data"]["total"] == int(IMAGE.sum())


@pytest.mark.parametrize("how", ["draw", "unlock"])
def test_drawing_on_the_image_is_an_error_that_says_to_draw_on_a_copy_and_no_pixel_changes(
    daemon: Daemon, how: str
) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put(IMAGE)
        result = client.inspect("D1", lease, meta, user_params={"how": how}, keep=True)
        assert result["error_code"] == "1009" and "image.copy()" in result["hint"]
        assert np.array_equal(lease.array(meta), IMAGE)
        client.release(lease)


def test_each_answer_brings_the_next_lease_to_a_host_that_renews(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        ids = set()
        for _ in range(3 * SLOTS):
            ids.add(lease.shared_mem_id)
            assert client.inspect("S1", lease, lease.put(IMAGE), step_index=1)["status"] == "OK"
        client.release(lease)
    assert len(ids) == 3 * SLOTS


def test_the_next_image_of_a_slot_is_never_taken_for_the_one_before(daemon: Daemon) -> None:
    with daemon.client() as client:
        lease = client.lease()
        for shade in range(10):
            image = np.full((48, 64, 3), shade, np.uint8)
            meta = lease.put_encoded(encoded("png", image), {**META, "encoding": "png"})
            result = client.inspect("S1", lease, meta, step_index=1)
            assert (result["data"]["total"], result["decodes"]) == (int(image.sum()), 1)
        client.release(lease)
