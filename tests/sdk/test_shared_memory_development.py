"""Development images: what is written under an id is what is read, and a cleared id is gone (spec.md §3)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from procvision_sdk import segment
from procvision_sdk.errors import ImageLoadError
from procvision_sdk.shared_memory import (
    DEV_HEADER,
    dev_clear_shared_memory,
    dev_segment,
    dev_write_image_to_shared_memory,
    read_image,
    read_image_from_shared_memory,
    write_image_array_to_shared_memory,
)

META: dict[str, Any] = {"width": 4, "height": 2, "timestamp_ms": 0, "camera_id": "c"}
COLOUR = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
ID = f"development-{os.getpid()}"


def png(value: int, width: int = 4, height: int = 2) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def cleared() -> Iterator[None]:
    yield
    dev_clear_shared_memory(ID)


@pytest.mark.parametrize(
    ("array", "meta"),
    [
        (COLOUR, META),
        (COLOUR.astype(np.uint16) * 257, {**META, "dtype": "uint16"}),
        (COLOUR[:, :, 0], {**META, "color_space": "GRAY"}),
        (COLOUR[:, :, :1], {**META, "color_space": "GRAY"}),
        (np.repeat(COLOUR, 2, axis=1)[:, ::2], META),
        (np.asfortranarray(COLOUR), META),
        (COLOUR[::-1, ::-1], META),
        (np.dstack([COLOUR, COLOUR[:, :, 0]]), {**META, "channels": 4}),
    ],
    ids=["rgb", "16 bit", "grey", "grey plane", "every second", "fortran", "reversed", "four channels"],
)
def test_a_development_image_is_what_was_written(array: NDArray[Any], meta: dict[str, Any]) -> None:
    write_image_array_to_shared_memory(ID, array)
    image = read_image(ID, meta, as_="native")
    assert image.dtype == array.dtype and (image.reshape(array.shape) == array).all()


def test_a_development_image_of_twelve_megapixels_works() -> None:
    write_image_array_to_shared_memory(ID, np.full((3000, 4096, 3), 7, np.uint8))
    image = read_image_from_shared_memory(ID, {**META, "width": 4096, "height": 3000})
    assert image.shape == (3000, 4096, 3) and int(image[-1, -1, -1]) == 7


def test_an_id_that_is_written_again_is_read_anew_and_a_cleared_one_is_gone() -> None:
    write_image_array_to_shared_memory(ID, COLOUR)
    kept = read_image(ID, META)
    dev_write_image_to_shared_memory(ID, png(5))
    assert read_image(ID, META)[0, 0, 0] == 5
    with pytest.raises(ImageLoadError, match="encoding says array, the data is png"):
        read_image(ID, {**META, "encoding": "array"})
    dev_write_image_to_shared_memory(ID, png(6, width=5))
    assert read_image(ID, {**META, "width": 5})[0, 0, 0] == 6
    dev_clear_shared_memory(ID)
    with pytest.raises(ImageLoadError):
        read_image(ID, META)
    dev_clear_shared_memory(ID)
    assert (kept == COLOUR).all()


def test_a_file_that_was_cleared_and_written_again_is_never_the_old_one() -> None:
    for value in (1, 2, 3):
        dev_write_image_to_shared_memory(ID, png(value))
        assert read_image(ID, META)[0, 0, 0] == value
        dev_clear_shared_memory(ID)


def test_the_header_is_what_the_contract_says_and_counts_its_writings() -> None:
    for generation in (1, 2):
        write_image_array_to_shared_memory(ID, COLOUR)
        raw = Path(f"/dev/shm/{dev_segment(ID)}").read_bytes()
        assert raw[:4] == b"PVDV" and DEV_HEADER.unpack_from(raw)[1:] == (1, 24, generation)
        assert raw[24:64] == bytes(40) and raw[64:] == COLOUR.tobytes()
    dev_write_image_to_shared_memory(ID, b"x")
    assert DEV_HEADER.unpack_from(Path(f"/dev/shm/{dev_segment(ID)}").read_bytes())[1:] == (2, 1, 3)


FOREIGN = [
    (b"\0" * 200, "nothing was written under this id"),
    (b"PVDV", "nothing was written under this id"),
    (DEV_HEADER.pack(b"PVDV", 1, 10**6, 1) + bytes(100), "speaks of 1000000 bytes, 60 are there"),
    (DEV_HEADER.pack(b"PVDV", 1, 23, 1) + bytes(100), "the array has 23 bytes"),
    (DEV_HEADER.pack(b"PVDV", 2, 24, 1) + bytes(100), "neither jpeg nor png"),
    (DEV_HEADER.pack(b"PVDV", 9, 24, 1) + bytes(100), "neither jpeg nor png"),
]


@pytest.mark.parametrize(("raw", "reason"), FOREIGN, ids=[reason for _, reason in FOREIGN])
def test_a_segment_that_a_bare_host_wrote_wrongly_is_refused(raw: bytes, reason: str) -> None:
    segment.create(dev_segment(ID), len(raw))[:] = raw
    with pytest.raises(ImageLoadError, match=reason):
        read_image(ID, META)
    write_image_array_to_shared_memory(ID, COLOUR)
    assert (read_image(ID, META) == COLOUR).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 4), np.float32),
        np.zeros((2, 4, 2), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        [[1]],
    ],
)
def test_what_is_no_image_is_not_written(array: Any) -> None:
    with pytest.raises(ValueError, match="expected a"):
        write_image_array_to_shared_memory(ID, array)
    with pytest.raises(ValueError, match="got none"):
        dev_write_image_to_shared_memory(ID, b"")
