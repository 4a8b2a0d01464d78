"""Image files as a camera would hand them over: jpeg and png as they are, everything else decoded to RGB (spec.md §3).

A file's header is read first, so that slots are made as large as the largest image needs; pixels are read one image
at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from procvision_sdk.errors import ErrorCode, ImageLoadError
from procvision_sdk.image import ImageMeta
from procvision_sdk.json_value import JsonValue
from runner.clock import wall_ms
from runner.dev.project import UsageError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# The EXIF tag, and its values that exchange width and height.
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
_ENCODED: dict[str | None, Literal["jpeg", "png"]] = {"JPEG": "jpeg", "PNG": "png"}
# What a header may announce is below this unless it lies; four times what a station's camera gives.
_MAX_PIXELS = 200_000_000


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A readable image file. `width` and `height` are those after EXIF orientation, `nbytes` what it needs in a slot."""

    path: Path
    width: int
    height: int
    encoding: Literal["array", "jpeg", "png"]
    nbytes: int

    def meta(self) -> dict[str, JsonValue]:
        """The image_meta of this file as a host would send it."""
        meta: dict[str, JsonValue] = {
            "width": self.width,
            "height": self.height,
            "timestamp_ms": wall_ms(),
            "camera_id": "file",
            "color_space": "RGB",
            "encoding": self.encoding,
        }
        return meta if self.encoding == "array" else {**meta, "length_bytes": self.nbytes}

    def write_to(self, slot: memoryview) -> None:
        """Put the image into a slot; ImageLoadError (1002) when the file cannot be read any more."""
        if self.encoding == "array":
            data = memoryview(self.pixels()).cast("B")
        else:
            try:
                data = memoryview(self.path.read_bytes())
            except OSError as error:
                raise ImageLoadError(f"{self.path}: {error.strerror}") from None
        if len(data) != self.nbytes:
            raise ImageLoadError(f"{self.path}: it had {self.nbytes} bytes at first, now {len(data)}")
        slot[: len(data)] = data

    def pixels(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB, upright, C-contiguous."""
        with opened(self.path) as source:
            return _rgb(source)


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; ImageLoadError (1002) for everything that is no image, while open too."""
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path) as source:
                if source.width * source.height > _MAX_PIXELS:
                    raise ImageLoadError(f"{path}: its header announces {source.width}x{source.height} pixels")
                yield source
    except (OSError, SyntaxError, ValueError, EOFError, Pillow.DecompressionBombError) as error:
        # Pillow's decoders raise all of these for a broken file.
        raise ImageLoadError(f"{path} is no image that can be read: {error}") from None


def _rgb(source: Image.Image) -> NDArray[np.uint8]:
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(source)
    if upright.mode.startswith("I"):
        grey = (np.asarray(upright, np.uint32) >> 8).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(grey[:, :, None], (*grey.shape, 3)))
    return np.array(upright.convert("RGB"), np.uint8)


def read_header(path: Path) -> ImageFile:
    """What a file's header says; ImageLoadError (1002) when it is no image."""
    with opened(path) as source:
        width, height = source.size
        if source.getexif().get(_ORIENTATION, 1) in _TURNED:
            width, height = height, width
        encoding = _ENCODED.get(source.format, "array")
    nbytes = width * height * 3 if encoding == "array" else path.stat().st_size
    found = ImageFile(path, width, height, encoding, nbytes)
    ImageMeta.of(found.meta())
    return found


def files_in(path: Path) -> list[Path]:
    """The file itself, or the image files of a folder by name; UsageError when there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UsageError(
            f"--image: {path} is not there", hint="give a file or a folder", code=ErrorCode.IMAGE_LOAD_FAILED
        )
    found = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
    if not found:
        raise UsageError(
            f"--image: there is no image in {path}",
            hint=f"images end in {', '.join(SUFFIXES)}",
            code=ErrorCode.IMAGE_LOAD_FAILED,
        )
    return found


def read_headers(path: Path) -> list[ImageFile | Unreadable]:
    """All images of a file or folder. One file that is no image is a UsageError; among others it is told and passed by."""
    found: list[ImageFile | Unreadable] = []
    for file in files_in(path):
        try:
            found.append(read_header(file))
        except ImageLoadError as error:
            if path.is_file():
                raise UsageError(f"--image: {error.message}", code=ErrorCode.IMAGE_LOAD_FAILED) from None
            found.append(Unreadable(file, error.message))
    return found


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file among others that is no image."""

    path: Path
    reason: str
