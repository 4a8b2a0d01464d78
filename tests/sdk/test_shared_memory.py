"""Images by their id: lent read-only, settled after the call, and never invented (spec.md §3)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from procvision_sdk import segment, shared_memory
from procvision_sdk.arena import Arena, ArenaLayout, SlotReference
from procvision_sdk.errors import ImageLoadError
from procvision_sdk.image import ColorOrder, Pixels, decode, in_order, view
from procvision_sdk.shared_memory import (
    ImageReader,
    dev_clear_shared_memory,
    read_image,
    read_image_from_shared_memory,
)

META: dict[str, Any] = {"width": 4, "height": 2, "timestamp_ms": 0, "camera_id": "c"}
COLOUR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
ID = f"test-{os.getpid()}"
SEGMENT = f"pv-test-{os.getpid()}"


def png(value: int, width: int = 4, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageReader]:
    """A reader of its own for each test; the development image is cleared after it."""
    fresh = ImageReader()
    monkeypatch.setattr(shared_memory, "reader", fresh)
    yield fresh
    fresh._arenas.clear()
    dev_clear_shared_memory(ID)


@pytest.fixture
def arena() -> Iterator[Arena]:
    layout = ArenaLayout(slot_count=2, slot_capacity=4096)
    mapping = segment.create(SEGMENT, layout.size)
    root = memoryview(mapping)
    yield Arena.format(SEGMENT, root, layout)
    segment.unlink(SEGMENT)
    root.release()
    mapping.close()


def fill(arena: Arena, slot: int, generation: int, data: bytes) -> str:
    arena.set_generation(slot, generation)
    arena.slot(slot)[: len(data)] = data
    return str(SlotReference(SEGMENT, slot, generation))


def test_a_slot_is_read_without_a_copy_in_every_order(arena: Arena, reader: ImageReader) -> None:
    shared_mem_id = fill(arena, 1, 7, COLOUR.tobytes())
    rgb = read_image_from_shared_memory(shared_mem_id, META)
    assert (rgb == COLOUR).all() and not rgb.flags.writeable
    assert (read_image(shared_mem_id, META, as_="bgr") == COLOUR[:, :, ::-1]).all()
    assert (read_image(shared_mem_id, {**META, "color_space": "BGR"}) == COLOUR[:, :, ::-1]).all()
    assert read_image(shared_mem_id, META, as_="native").shape == (2, 4, 3)
    arena.slot(1)[0] = 99
    assert rgb[0, 0, 0] == 99
    assert read_image(shared_mem_id, META, as_="gray").shape == (2, 4)
    assert (reader.has_lent, reader.settle().copies) == (True, 1)
    assert not reader.has_lent


SLOT_LAYOUTS: list[dict[str, Any]] = [
    {},
    {"color_space": "BGR"},
    {"color_space": "GRAY"},
    {"channels": 4},
    {"stride_bytes": 16},
    {"dtype": "uint16"},
    {"color_space": "GRAY", "stride_bytes": 8},
]


@pytest.mark.parametrize("changes", SLOT_LAYOUTS, ids=str)
@pytest.mark.parametrize("order", ["rgb", "bgr", "native", "gray"])
def test_only_grey_out_of_colour_is_a_copy_and_each_is_counted_once(
    arena: Arena, reader: ImageReader, changes: dict[str, Any], order: ColorOrder
) -> None:
    shared_mem_id = fill(arena, 0, 1, bytes(range(64)))
    images = [read_image(shared_mem_id, {**META, **changes}, as_=order) for _ in range(2)]
    slot = np.frombuffer(reader._arenas[SEGMENT].slot(0), np.uint8)
    outside = [not np.shares_memory(image, slot) for image in images]
    made_anew = order == "gray" and changes.get("color_space") != "GRAY"
    assert outside == [made_anew] * 2
    assert reader.settle().copies == sum(outside)


SABOTAGE: list[tuple[str, Callable[..., Any]]] = [
    ("in_order", lambda *given: in_order(*given).copy()),
    ("view", lambda data, meta: view(memoryview(bytes(data)), meta)),
]


@pytest.mark.parametrize(("place", "copying"), SABOTAGE, ids=[row[0] for row in SABOTAGE])
def test_a_copy_is_counted_wherever_on_the_way_to_the_hook_it_is_made(
    arena: Arena, reader: ImageReader, monkeypatch: pytest.MonkeyPatch, place: str, copying: Callable[..., Any]
) -> None:
    shared_mem_id = fill(arena, 0, 1, COLOUR.tobytes())
    monkeypatch.setattr(shared_memory, place, copying)
    assert (read_image(shared_mem_id, META) == COLOUR).all()
    assert reader.settle().copies == 1


@pytest.mark.parametrize(("order", "copies"), [("rgb", 0), ("bgr", 0), ("native", 0), ("gray", 1)])
def test_a_decode_is_no_copy_and_grey_out_of_its_colours_is_one(
    arena: Arena, reader: ImageReader, order: ColorOrder, copies: int
) -> None:
    data = png(9)
    shared_mem_id = fill(arena, 0, 1, data)
    read_image(shared_mem_id, {**META, "encoding": "png", "length_bytes": len(data)}, as_=order)
    settled = reader.settle()
    assert (settled.decodes, settled.copies) == (1, copies)


def test_an_image_cannot_be_written_and_a_copy_can(arena: Arena) -> None:
    image = read_image_from_shared_memory(fill(arena, 0, 1, COLOUR.tobytes()), META)
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        image.flags.writeable = True
    image.copy()[0, 0] = 1
    assert bytes(arena.slot(0)[:24]) == COLOUR.tobytes()


KEPT: list[tuple[str, Callable[[Pixels], Any], bool]] = [
    ("nothing", lambda _: None, False),
    ("a number", lambda image: image.mean(), False),
    ("a copy", lambda image: image.copy(), False),
    ("bytes", lambda image: image.tobytes(), False),
    ("the view", lambda image: image, True),
    ("a slice", lambda image: image[1:, ::-1, :1], True),
    ("transposed", lambda image: image.T, True),
    ("a buffer", lambda image: image.data, True),
    ("a closure", lambda image: lambda: image, True),
    ("a broadcast", lambda image: np.broadcast_to(image, (2, 2, 4, 3)), True),
    ("a list of rows", list, True),
]


@pytest.mark.parametrize(("keep", "kept"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
@pytest.mark.parametrize("meta", [META, {**META, "color_space": "GRAY"}, {**META, "stride_bytes": 16}])
def test_a_view_that_is_kept_is_noticed_in_whatever_form(
    arena: Arena, reader: ImageReader, keep: Callable[[Pixels], Any], kept: bool, meta: dict[str, Any]
) -> None:
    shared_mem_id = fill(arena, 0, 1, COLOUR.tobytes())
    held = keep(read_image_from_shared_memory(shared_mem_id, meta))
    assert reader.settle().kept_view is kept
    del held
    assert not reader.settle().kept_view


def test_a_view_in_a_reference_cycle_is_collected_and_not_reported(arena: Arena, reader: ImageReader) -> None:
    loop: list[Any] = [read_image_from_shared_memory(fill(arena, 0, 1, COLOUR.tobytes()), META)]
    loop.append(loop)
    del loop
    assert not reader.settle().kept_view


def test_a_stale_id_is_refused_and_a_slot_given_away_is_noticed(arena: Arena, reader: ImageReader) -> None:
    shared_mem_id = fill(arena, 0, 4, COLOUR.tobytes())
    read_image(shared_mem_id, META)
    assert reader.given_away() is None
    arena.set_generation(0, 5)
    assert reader.given_away() == SlotReference(SEGMENT, 0, 4)
    reader.settle()
    assert reader.given_away() is None
    with pytest.raises(ImageLoadError, match="at generation 5, the id names 4: it is stale"):
        read_image(shared_mem_id, META)


SLOT_REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    (f"pv1.{SEGMENT}.2.1", META, "has 2 slots"),
    ("pv1.pv-nobody.0.1", META, "no shared memory is named"),
    (f"pv1.{SEGMENT}.0.1", {**META, "width": 4000}, "asks for 24000 bytes, the image holds 4096"),
    (f"pv1.{SEGMENT}.0.1", {**META, "width": 0}, "image_meta.width"),
    (f"pv1.{SEGMENT}.0.1", {}, "image_meta: .*required field `width`"),
    (f"pv1.{SEGMENT}.0.1", {**META, "encoding": "png"}, "length_bytes: expected 1..4096 for png data, got None"),
    (f"pv1.{SEGMENT}.0.1", {**META, "encoding": "png", "length_bytes": 4097}, "length_bytes: expected 1..4096"),
    (f"pv1.{SEGMENT}.0.1", {**META, "encoding": "png", "length_bytes": 24}, "cannot be decoded"),
    ("", META, "no shared memory is named"),
    ("never written", META, "no shared memory is named"),
    ("\ud800", META, "no shared memory is named"),
]


@pytest.mark.parametrize(
    ("shared_mem_id", "meta", "reason"), SLOT_REFUSALS, ids=[reason for *_, reason in SLOT_REFUSALS]
)
def test_what_cannot_be_had_is_1002_with_the_reason_and_nothing_is_invented(
    arena: Arena, reader: ImageReader, shared_mem_id: str, meta: dict[str, Any], reason: str
) -> None:
    fill(arena, 0, 1, COLOUR.tobytes())
    with pytest.raises(ImageLoadError, match=reason) as caught:
        read_image_from_shared_memory(shared_mem_id, meta)
    assert caught.value.code == "1002" and not reader.has_lent


@pytest.mark.parametrize("nothing", [None, 5, b"id"])
def test_an_id_that_is_no_text_is_no_image(nothing: Any) -> None:
    with pytest.raises(ImageLoadError, match="shared_mem_id: expected text"):
        read_image_from_shared_memory(nothing, META)


def test_a_file_in_a_slot_is_decoded_once_per_generation(arena: Arena, reader: ImageReader) -> None:
    data = png(9)
    meta = {**META, "encoding": "png", "length_bytes": len(data)}
    first = fill(arena, 0, 1, data)
    assert read_image(first, meta)[0, 0].tolist() == [9, 0, 0]
    assert read_image(first, meta, as_="bgr")[0, 0].tolist() == [0, 0, 9]
    assert reader.settle().decodes == 1
    assert read_image(first, meta)[0, 0, 0] == 9
    assert reader.settle().decodes == 0
    data = png(8)
    assert read_image(fill(arena, 0, 2, data), {**meta, "length_bytes": len(data)})[0, 0, 0] == 8
    settled = reader.settle()
    assert (settled.decodes, settled.kept_view) == (1, False)
    assert len(reader._decoded) == 2
    fill(arena, 1, 1, data)
    read_image(f"pv1.{SEGMENT}.1.1", {**meta, "length_bytes": len(data)})
    assert len(reader._decoded) == 2


def test_a_decoded_image_is_read_only_and_its_meta_must_still_be_right(arena: Arena) -> None:
    data = png(9)
    meta = {**META, "encoding": "png", "length_bytes": len(data)}
    shared_mem_id = fill(arena, 0, 1, data)
    with pytest.raises(ValueError, match="read-only"):
        read_image(shared_mem_id, meta)[0, 0] = 1
    with pytest.raises(ImageLoadError, match="image_meta says 5x2"):
        read_image(shared_mem_id, {**meta, "width": 5})


def test_a_slot_given_away_while_its_file_is_decoded_is_no_image(
    arena: Arena, monkeypatch: pytest.MonkeyPatch, reader: ImageReader
) -> None:
    data = png(9)
    shared_mem_id = fill(arena, 0, 1, data)

    def slow(*arguments: Any) -> NDArray[np.uint8]:
        arena.set_generation(0, 2)
        return decode(*arguments)

    monkeypatch.setattr(shared_memory, "decode", slow)
    with pytest.raises(ImageLoadError, match="given away while it was decoded"):
        read_image(shared_mem_id, {**META, "encoding": "png", "length_bytes": len(data)})
    assert reader._decoded == {}


ZEROS: list[tuple[dict[str, Any], Literal["rgb", "gray", "native"], tuple[int, ...]]] = [
    (META, "rgb", (2, 4, 3)),
    (META, "gray", (2, 4)),
    ({**META, "channels": 4}, "native", (2, 4, 4)),
    ({**META, "color_space": "GRAY"}, "native", (2, 4)),
    ({**META, "color_space": "GRAY", "dtype": "uint16"}, "rgb", (2, 4, 3)),
]


@pytest.mark.parametrize(("meta", "order", "shape"), ZEROS)
def test_zeros_come_only_when_asked_for_and_are_told(
    reader: ImageReader, meta: dict[str, Any], order: Literal["rgb", "gray", "native"], shape: tuple[int, ...]
) -> None:
    image = read_image(ID, meta, as_=order, on_missing="zeros")
    assert image.shape == shape and not image.any() and str(image.dtype) == meta.get("dtype", "uint8")
    assert reader.has_substituted and not image.flags.writeable
    reader.settle()
    assert not reader.has_substituted
    with pytest.raises(ImageLoadError, match=r"image_meta\.width"):
        read_image(ID, {**meta, "width": 0}, on_missing="zeros")


@pytest.mark.parametrize(
    ("wrong", "reason"), [({"as_": "RGB"}, "as_: expected"), ({"on_missing": "zero"}, "on_missing: expected")]
)
def test_a_misspelt_wish_is_refused(wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_image(ID, META, **wrong)
