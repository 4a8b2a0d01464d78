"""Image files as slots need them (spec.md §3)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from procvision_sdk.errors import ImageLoadError
from procvision_sdk.image import ImageMeta, decode
from runner.dev.image_files import read_header, read_headers
from runner.dev.project import UsageError
from tests.doubles.author import make_picture

ENCODED = [("a.png", "png"), ("a.jpg", "jpeg"), ("a.jpeg", "jpeg"), ("wrongly-named.png", "jpeg")]


@pytest.mark.parametrize(("name", "encoding"), ENCODED)
def test_jpeg_and_png_go_into_the_slot_as_they_are(tmp_path: Path, name: str, encoding: str) -> None:
    path = make_picture(tmp_path / name, 99, format=encoding.upper())
    found = read_header(path)
    slot = bytearray(found.nbytes + 3)
    found.write_to(memoryview(slot))
    assert bytes(slot[: found.nbytes]) == path.read_bytes()
    meta = ImageMeta.of(found.meta())
    assert (meta.encoding, meta.width, meta.height, meta.length_bytes) == (encoding, 8, 6, found.nbytes)


@pytest.mark.parametrize("name", ["a.bmp", "a.tif", "a.webp", "a.gif"])
def test_other_formats_go_into_the_slot_as_rgb(tmp_path: Path, name: str) -> None:
    found = read_header(make_picture(tmp_path / name, 99))
    slot = bytearray(found.nbytes)
    found.write_to(memoryview(slot))
    assert (found.encoding, found.nbytes) == ("array", 8 * 6 * 3)
    assert np.abs(np.frombuffer(slot, np.uint8).astype(int) - 99).max() <= 2


MODES = [("L", 200, 200), ("I;16", 200 * 256, 200), ("1", 1, 255), ("P", 200, 200), ("RGBA", (200, 200, 200, 9), 200)]


@pytest.mark.parametrize(("mode", "stored", "expected"), MODES)
def test_every_mode_of_a_tif_becomes_rgb_of_eight_bits(
    tmp_path: Path, mode: str, stored: int | tuple[int, ...], expected: int
) -> None:
    image = Image.new(mode, (8, 6), stored)
    if mode == "P":
        image.putpalette([level for level in range(256) for _ in range(3)])
    image.save(tmp_path / "a.tif")
    pixels = read_header(tmp_path / "a.tif").pixels()
    assert (pixels.shape, str(pixels.dtype)) == ((6, 8, 3), "uint8")
    assert (pixels == expected).all()


@pytest.mark.parametrize(("orientation", "size"), [(1, (8, 6)), (3, (8, 6)), (6, (6, 8)), (8, (6, 8))])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_width_and_height_are_those_after_orientation(
    tmp_path: Path, name: str, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_header(make_picture(tmp_path / name, exif=exif))
    assert (found.width, found.height) == size
    if found.encoding == "array":
        assert found.pixels().shape[:2] == size[::-1]
    else:
        assert decode(found.path.read_bytes(), ImageMeta.of(found.meta()), found.encoding).shape[:2] == size[::-1]


def test_a_file_that_changed_since_is_not_written(tmp_path: Path) -> None:
    found = read_header(make_picture(tmp_path / "a.png"))
    make_picture(tmp_path / "a.png", size=(80, 60))
    with pytest.raises(ImageLoadError, match="it had"):
        found.write_to(memoryview(bytearray(10_000)))
    found.path.unlink()
    with pytest.raises(ImageLoadError, match="No such file"):
        found.write_to(memoryview(bytearray(10_000)))


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_image_is_a_usage_error_alone_and_told_among_others(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UsageError, match="is no image that can be read"):
        read_headers(tmp_path / "a.png")
    (found,) = read_headers(tmp_path)
    assert not hasattr(found, "encoding")


def test_a_header_that_announces_too_much_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    small = make_picture(tmp_path / "a.bmp").read_bytes()
    huge = small[:18] + (60_000).to_bytes(4, "little") * 2 + small[26:]
    (tmp_path / "a.bmp").write_bytes(huge)
    with pytest.raises(ImageLoadError):
        read_header(tmp_path / "a.bmp")
