"""image_meta, and bytes as read-only arrays; files decoded within what their header and the meta say (spec.md §3)."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageFile

from procvision_sdk.errors import ImageLoadError
from procvision_sdk.image import ColorOrder, ImageMeta, decode, in_order, view

META: dict[str, Any] = {"width": 4, "height": 2, "timestamp_ms": 0, "camera_id": "c"}
Encoding = Literal["jpeg", "png"]


def meta(**changes: Any) -> ImageMeta:
    return ImageMeta.of({**META, **changes})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"width": 0}, "image_meta.width: "),
    ({"width": -1}, "image_meta.width: "),
    ({"width": 65_536}, "image_meta.width: "),
    ({"width": 4.0}, "image_meta.width: Expected `int`, got `float`"),
    ({"width": True}, "image_meta.width: "),
    ({"width": "4"}, "image_meta.width: Expected `int`, got `str`"),
    ({"height": None}, "image_meta.height: "),
    ({"timestamp_ms": -1}, "image_meta.timestamp_ms: "),
    ({"timestamp_ms": 1.5}, "image_meta.timestamp_ms: "),
    ({"camera_id": 3}, "image_meta.camera_id: "),
    ({"color_space": "HSV"}, "image_meta.color_space: "),
    ({"encoding": "tiff"}, "image_meta.encoding: "),
    ({"dtype": "float32"}, "image_meta.dtype: "),
    ({"channels": 2}, "channels: expected 3 or 4 with color_space RGB, got 2"),
    ({"channels": 1}, "channels: expected 3 or 4 with color_space RGB, got 1"),
    ({"channels": 0}, "channels: expected 3 or 4"),
    ({"channels": 3.0}, "image_meta.channels: "),
    ({"channels": True, "color_space": "GRAY"}, "image_meta.channels: "),
    ({"channels": 3, "color_space": "GRAY"}, "channels: expected 1 with color_space GRAY, got 3"),
    ({"stride_bytes": 11}, "stride_bytes: expected a multiple of 1, 12 or more, got 11"),
    ({"stride_bytes": 25, "dtype": "uint16"}, "stride_bytes: expected a multiple of 2, 24 or more, got 25"),
    ({"stride_bytes": 12, "encoding": "png"}, "stride_bytes: it has no meaning for png"),
    ({"dtype": "uint16", "encoding": "png"}, "dtype: expected uint8 for png data"),
    ({"length_bytes": 0}, "image_meta.length_bytes: "),
]


@pytest.mark.parametrize(("changes", "reason"), WRONG, ids=[str(changes) for changes, _ in WRONG])
def test_a_meta_that_is_wrong_is_1002_and_names_the_field(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageLoadError, match=reason) as caught:
        meta(**changes)
    assert caught.value.code == "1002"


@pytest.mark.parametrize("field", META)
def test_a_meta_without_a_required_field_names_it(field: str) -> None:
    with pytest.raises(ImageLoadError, match=rf"image_meta: .*required field `{field}`$"):
        ImageMeta.of({key: value for key, value in META.items() if key != field})


@pytest.mark.parametrize("nothing", [None, [], "meta"])
def test_no_meta_at_all_is_refused(nothing: Any) -> None:
    with pytest.raises(ImageLoadError, match="image_meta: "):
        ImageMeta.of(nothing)


def test_unknown_keys_of_a_meta_are_harmless() -> None:
    assert meta(exposure_us=5) == meta()


LAYOUTS: list[tuple[dict[str, Any], int, tuple[int, ...], tuple[int, ...]]] = [
    ({}, 24, (2, 4, 3), (12, 3, 1)),
    ({"channels": 4}, 32, (2, 4, 4), (16, 4, 1)),
    ({"color_space": "GRAY"}, 8, (2, 4), (4, 1)),
    ({"dtype": "uint16"}, 48, (2, 4, 3), (24, 6, 2)),
    ({"color_space": "GRAY", "dtype": "uint16"}, 16, (2, 4), (8, 2)),
    ({"stride_bytes": 16}, 28, (2, 4, 3), (16, 3, 1)),
    ({"stride_bytes": 12}, 24, (2, 4, 3), (12, 3, 1)),
    ({"color_space": "GRAY", "stride_bytes": 8}, 12, (2, 4), (8, 1)),
]


@pytest.mark.parametrize(("changes", "nbytes", "shape", "strides"), LAYOUTS, ids=[str(row[0]) for row in LAYOUTS])
def test_bytes_become_a_read_only_view_of_the_shape_the_meta_says(
    changes: dict[str, Any], nbytes: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    said = meta(**changes)
    data = np.arange(nbytes, dtype=np.uint8).tobytes()
    pixels, owner = view(memoryview(data), said)
    assert (said.nbytes, pixels.shape, pixels.strides, str(pixels.dtype)) == (nbytes, shape, strides, said.dtype)
    assert np.shares_memory(pixels, np.frombuffer(data, np.uint8)) and np.shares_memory(pixels, owner)
    assert not pixels.flags.writeable
    assert pixels.reshape(-1).tobytes()[:2] == data[:2]
    with pytest.raises(ImageLoadError, match=f"asks for {nbytes} bytes, the image holds {nbytes - 1}"):
        view(memoryview(data)[:-1], said)


@pytest.mark.parametrize(
    ("stored", "channels", "wanted", "expected"),
    [
        ("RGB", 3, "rgb", [1, 2, 3]),
        ("RGB", 3, "bgr", [3, 2, 1]),
        ("BGR", 3, "rgb", [3, 2, 1]),
        ("BGR", 3, "bgr", [1, 2, 3]),
        ("RGB", 4, "rgb", [1, 2, 3]),
        ("BGR", 4, "rgb", [3, 2, 1]),
        ("RGB", 4, "native", [1, 2, 3, 4]),
        ("BGR", 3, "native", [1, 2, 3]),
    ],
)
def test_the_order_that_is_wanted_is_a_view(
    stored: Literal["RGB", "BGR"], channels: int, wanted: ColorOrder, expected: list[int]
) -> None:
    pixels = np.tile(np.arange(1, channels + 1, dtype=np.uint8), (2, 4, 1))
    ordered = in_order(pixels, stored, wanted)
    assert ordered.shape == (2, 4, len(expected)) and ordered[1, 3].tolist() == expected
    assert np.shares_memory(ordered, pixels)


@pytest.mark.parametrize(
    ("wanted", "shape"), [("rgb", (2, 4, 3)), ("bgr", (2, 4, 3)), ("gray", (2, 4)), ("native", (2, 4))]
)
def test_grey_is_repeated_without_a_copy(wanted: ColorOrder, shape: tuple[int, ...]) -> None:
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 4)
    ordered = in_order(pixels, "GRAY", wanted)
    assert ordered.shape == shape and np.shares_memory(ordered, pixels)
    assert (ordered.reshape(2, 4, -1) == pixels[:, :, None]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_out_of_colour_is_its_brightness_in_either_order(dtype: Any) -> None:
    top = np.iinfo(dtype).max
    pixels = np.zeros((1, 4, 3), dtype)
    pixels[0] = [[top, 0, 0], [0, top, 0], [0, 0, top], [top, top, top]]
    grey = in_order(pixels, "RGB", "gray")
    assert grey.dtype == dtype and not grey.flags.writeable
    assert np.allclose(grey[0] / top, [0.30, 0.586, 0.113, 1.0], atol=0.005)
    assert (in_order(pixels[:, :, ::-1], "BGR", "gray") == grey).all()


def file_of(image: Image.Image, encoding: Encoding, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, encoding.upper(), **options)
    return buffer.getvalue()


def picture(mode: str) -> Image.Image:
    """4 x 2, its left half dark and its right half bright, as far as the mode can say it."""
    grey = np.zeros((2, 4), np.uint8)
    grey[:, 2:] = 200
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 256)
    return Image.fromarray(grey).convert(mode)


MODES: list[tuple[Encoding, str, tuple[int, ...]]] = [
    ("png", "RGB", (2, 4, 3)),
    ("png", "RGBA", (2, 4, 3)),
    ("png", "P", (2, 4, 3)),
    ("png", "1", (2, 4, 3)),
    ("png", "L", (2, 4)),
    ("png", "LA", (2, 4, 3)),
    ("png", "I;16", (2, 4)),
    ("jpeg", "RGB", (2, 4, 3)),
    ("jpeg", "L", (2, 4)),
    ("jpeg", "CMYK", (2, 4, 3)),
]


@pytest.mark.parametrize(("encoding", "mode", "shape"), MODES)
def test_every_kind_of_file_becomes_plain_uint8(encoding: Encoding, mode: str, shape: tuple[int, ...]) -> None:
    array = decode(file_of(picture(mode), encoding), meta(encoding=encoding), encoding)
    assert (array.shape, str(array.dtype), array.flags.writeable) == (shape, "uint8", False)
    assert array[:, 0].max() < 40 and array[:, 3].min() > 160


@pytest.mark.parametrize("encoding", ["jpeg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_the_meta_speaks_of_the_upright_image(
    encoding: Encoding, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = file_of(picture("RGB"), encoding, exif=exif)
    width, height = (2, 4) if orientation >= 5 else (4, 2)
    array = decode(data, meta(encoding=encoding, width=width, height=height), encoding)
    assert array.shape == (height, width, 3)
    bright = np.argwhere(array[:, :, 0] > 120).mean(axis=0)
    expected = {1: (0.5, 2.5), 2: (0.5, 0.5), 3: (0.5, 0.5), 4: (0.5, 2.5)}
    turned = {5: (2.5, 0.5), 6: (2.5, 0.5), 7: (0.5, 0.5), 8: (0.5, 0.5)}
    assert tuple(bright) == (expected | turned)[orientation]
    if orientation >= 5:
        with pytest.raises(ImageLoadError, match="image_meta says 4x2, the file 2x4 upright"):
            decode(data, meta(encoding=encoding), encoding)


def bomb(width: int, height: int) -> bytes:
    """A png whose header announces a size and whose data is missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + b"\0\0\0\x0aIDAT"
        + b"\0" * 14
    )


PNG, JPEG = file_of(picture("RGB"), "png"), file_of(picture("RGB"), "jpeg")
BAD: list[tuple[str, bytes, dict[str, Any], str]] = [
    ("no bytes", b"", {}, "cannot be decoded"),
    ("garbage", b"\x89PNG" + b"x" * 100, {}, "cannot be decoded"),
    ("another format", PNG, {"encoding": "jpeg"}, "cannot be decoded"),
    ("half a png", PNG[: len(PNG) // 2], {}, "cannot be decoded"),
    ("half a jpeg", JPEG[: len(JPEG) - 40], {"encoding": "jpeg"}, "cannot be decoded"),
    ("another size", PNG, {"width": 5}, "image_meta says 5x2, the file 4x2"),
    ("sides exchanged", PNG, {"width": 2, "height": 4}, "image_meta says 2x4, the file 4x2 upright"),
    ("bomb", bomb(60_000, 60_000), {"width": 60_000, "height": 60_000}, "more than 89478485 pixels"),
    ("small bomb", bomb(10_000, 9_000), {"width": 10_000, "height": 9_000}, "more than 89478485 pixels"),
    ("header alone", bomb(4, 2), {}, "cannot be decoded"),
]


@pytest.mark.parametrize(("what", "data", "changes", "reason"), BAD, ids=[row[0] for row in BAD])
@pytest.mark.parametrize("forgiving", [False, True])
def test_a_file_that_cannot_be_trusted_is_refused(
    forgiving: bool, what: str, data: bytes, changes: dict[str, Any], reason: str
) -> None:
    said = meta(**{"encoding": "png", **changes})
    assert said.encoding != "array"
    with pytest.MonkeyPatch.context() as author:
        author.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", forgiving)
        author.setattr(Image, "MAX_IMAGE_PIXELS", None if forgiving else Image.MAX_IMAGE_PIXELS)
        with pytest.raises(ImageLoadError, match=reason) as caught:
            decode(data, said, said.encoding)
        assert forgiving is ImageFile.LOAD_TRUNCATED_IMAGES
    assert f"{said.encoding} data of {len(data)} bytes: " in caught.value.message, what


def test_memory_that_runs_out_is_not_told_as_a_bad_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", no_room)
    with pytest.raises(MemoryError):
        decode(PNG, meta(encoding="png"), "png")
