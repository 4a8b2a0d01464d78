"""Image files as a camera would hand them over: jpeg and png as they are, everything else decoded to RGB (spec.md §3).

A file's header is read first, so that slots are made as large as the largest image needs; pixels are read one image
at a time.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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

Encoding = Literal["array", "jpeg", "png"]
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# The EXIF tag, and its values that exchange width and height.
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)
_ENCODED: dict[str | None, Encoding] = {"JPEG": "jpeg", "PNG": "png"}


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A readable image file. `width` and `height` are those after EXIF orientation, `nbytes` is its need of a slot."""

    path: Path
    width: int
    height: int
    encoding: Encoding
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

    def decoded(self) -> ImageFile:
        """The same image, handed over as an array: what a camera gives."""
        return replace(self, encoding="array", nbytes=self.width * self.height * 3)

    def write_to(self, slot: memoryview) -> None:
        """Put the image into a slot; ImageLoadError (1002) when the file cannot be read any more."""
        if self.encoding == "array":
            data = self.pixels().data.cast("B")
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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file among others that is no image."""

    path: Path
    reason: str


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """The file as Pillow sees it; ImageLoadError (1002) for everything that is no image, while open too."""
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Pillow.open(path) as source:
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
        encoding = _ENCODED.get(source.format)
        width, height = _upright_size(source)
    found = ImageFile(path, width, height, encoding or "array", path.stat().st_size)
    if encoding is None:
        found = found.decoded()
    ImageMeta.of(found.meta())
    return found


def _upright_size(source: Image.Image) -> tuple[int, int]:
    """From the header of a jpeg or png. Others are decoded for it: where they keep their orientation is their own."""
    from PIL import ImageOps

    if source.format not in _ENCODED:
        return ImageOps.exif_transpose(source).size
    turned = source.getexif().get(_ORIENTATION, 1) in _TURNED
    return (source.height, source.width) if turned else source.size


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


def has_images(folder: Path) -> bool:
    """Whether there is a folder of this name with an image file in it."""
    return folder.is_dir() and any(one.suffix.lower() in SUFFIXES for one in folder.iterdir())


def read_headers(path: Path) -> list[ImageFile | Unreadable]:
    """All images of a file or folder. One file that is no image is a UsageError, among others it is Unreadable."""
    found: list[ImageFile | Unreadable] = []
    for file in files_in(path):
        try:
            found.append(read_header(file))
        except ImageLoadError as error:
            if path.is_file():
                raise UsageError(f"--image: {error.message}", code=ErrorCode.IMAGE_LOAD_FAILED) from None
            found.append(Unreadable(file, error.message))
    return found
