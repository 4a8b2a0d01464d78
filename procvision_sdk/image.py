"""ImageMeta, and bytes as read-only arrays: shape, dtype and stride agree with the bytes before numpy sees them.

Arrays are made with np.frombuffer alone: it keeps the mapping alive or raises, where np.ndarray(buffer=...) lets a
mapping vanish under a living array (spec.md §3).
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Annotated, Any, Literal, TypeAlias
from warnings import catch_warnings, simplefilter

import msgspec
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from procvision_sdk.errors import ImageLoadError
from procvision_sdk.validation import placed

Pixels: TypeAlias = NDArray[np.uint8 | np.uint16]
ColorOrder = Literal["rgb", "bgr", "gray", "native"]

# A decoded image above this is refused from its header: 89 Mpx of RGB are 268 MB, more than any station camera gives.
MAX_DECODED_PIXELS = 89_478_485
MAX_SIDE_PIXELS = 65_535
# The EXIF tag, and its values that exchange width and height.
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)

Side: TypeAlias = Annotated[int, msgspec.Meta(gt=0, le=MAX_SIDE_PIXELS)]
Bytes: TypeAlias = Annotated[int, msgspec.Meta(gt=0)]


class ImageMeta(msgspec.Struct, frozen=True, rename={"said_encoding": "encoding"}):
    """What a host says of an image (spec.md §3). For jpeg and png, width and height are those after orientation."""

    width: Side
    height: Side
    timestamp_ms: Annotated[int, msgspec.Meta(ge=0)]
    camera_id: str
    color_space: Literal["RGB", "BGR", "GRAY"] = "RGB"
    said_encoding: Literal["array", "jpeg", "png"] | None = None
    dtype: Literal["uint8", "uint16"] = "uint8"
    channels: int | None = None
    stride_bytes: Bytes | None = None
    length_bytes: Bytes | None = None

    def __post_init__(self) -> None:
        allowed = (1,) if self.color_space == "GRAY" else (3, 4)
        if self.channel_count not in allowed:
            expected = " or ".join(map(str, allowed))
            raise ValueError(f"channels: expected {expected} with color_space {self.color_space}, got {self.channels}")
        if self.stride_bytes is not None:
            if self.encoding != "array":
                raise ValueError(f"stride_bytes: it has no meaning for {self.encoding} data")
            if self.stride_bytes < self.row_bytes or self.stride_bytes % self.itemsize:
                expected = f"a multiple of {self.itemsize}, {self.row_bytes} or more"
                raise ValueError(f"stride_bytes: expected {expected}, got {self.stride_bytes}")
        if self.encoding != "array" and self.dtype != "uint8":
            raise ValueError(f"dtype: expected uint8 for {self.encoding} data, got {self.dtype}")

    @property
    def encoding(self) -> Literal["array", "jpeg", "png"]:
        return self.said_encoding or "array"

    @property
    def channel_count(self) -> int:
        default = 1 if self.color_space == "GRAY" else 3
        return default if self.channels is None else self.channels

    @property
    def shape(self) -> tuple[int, ...]:
        """(height, width) of one channel, else (height, width, channels)."""
        plane = (self.height, self.width)
        return plane if self.channel_count == 1 else (*plane, self.channel_count)

    @property
    def itemsize(self) -> int:
        return 2 if self.dtype == "uint16" else 1

    @property
    def row_bytes(self) -> int:
        return self.width * self.channel_count * self.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of array data from the first pixel to the end of the last one."""
        row_bytes = self.row_bytes
        return (self.stride_bytes or row_bytes) * (self.height - 1) + row_bytes

    @classmethod
    def of(cls, meta: Mapping[str, Any]) -> ImageMeta:
        """`meta` checked; ImageLoadError (1002) names the field that is missing or wrong."""
        try:
            return msgspec.convert(meta, cls)
        except msgspec.ValidationError as error:
            where, what = placed(error)
            raise ImageLoadError(f"image_meta{'.' if where else ''}{where}: {what}") from None


def view(data: memoryview, meta: ImageMeta) -> tuple[Pixels, Pixels]:
    """The pixels as they lie in `data`, and the one flat array that every view of them keeps alive; no copy.

    The pixels are (height, width) or (height, width, channels), dtype of the meta, read-only when `data` is.
    ImageLoadError when `data` is shorter than the meta says.
    """
    nbytes = meta.nbytes
    if len(data) < nbytes:
        raise ImageLoadError(f"image_meta asks for {nbytes} bytes, the image holds {len(data)}")
    flat: Pixels = np.frombuffer(data, "<u2" if meta.dtype == "uint16" else "u1", nbytes // meta.itemsize)
    if meta.stride_bytes is None or meta.stride_bytes == meta.row_bytes:
        return flat.reshape(meta.shape), flat
    strides = (meta.stride_bytes, meta.channel_count * meta.itemsize, meta.itemsize)[: len(meta.shape)]
    return as_strided(flat, meta.shape, strides, writeable=not data.readonly), flat


def in_order(pixels: Pixels, stored: Literal["RGB", "BGR", "GRAY"], wanted: ColorOrder) -> Pixels:
    """`pixels` in the order that was asked for, as a view wherever a view can say it.

    rgb, bgr: (height, width, 3), a fourth channel left out, grey repeated by a broadcast view. gray: (height, width).
    Only gray out of colour needs a computation, and so a new array.
    """
    if wanted == "native":
        return pixels
    if stored == "GRAY":
        return pixels if wanted == "gray" else np.broadcast_to(pixels[:, :, None], (*pixels.shape, 3))
    if wanted == "gray":
        return luma(pixels, stored)
    return pixels[:, :, :3] if stored.lower() == wanted else pixels[:, :, 2::-1]


def luma(pixels: Pixels, stored: Literal["RGB", "BGR"]) -> Pixels:
    """BT.601 brightness, (height, width), same dtype, a new read-only array."""
    red, blue = (0, 2) if stored == "RGB" else (2, 0)
    wide = np.uint32 if pixels.dtype == np.uint16 else np.uint16
    total = pixels[:, :, red] * wide(77)
    total += pixels[:, :, 1] * wide(150)
    total += pixels[:, :, blue] * wide(29)
    total >>= wide(8)
    grey: Pixels = total.astype(pixels.dtype)
    grey.flags.writeable = False
    return grey


def decode(data: bytes | memoryview, meta: ImageMeta, encoding: Literal["jpeg", "png"]) -> NDArray[np.uint8]:
    """A jpeg or png as a new read-only array: (height, width, 3) RGB, or (height, width) for a grey file.

    Palette, alpha, CMYK and 16-bit files become plain uint8, EXIF orientation is applied; what colours a file has, the
    file says. The size is checked against the limit and the meta from the header, before anything is decoded.
    ImageLoadError (1002) for everything else.
    """
    from PIL import Image, ImageFile

    forgiving = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # an author may have set it for files of his own
    try:
        with catch_warnings():
            simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(BytesIO(data), formats=[encoding.upper()]) as source:
                array = _pixels_of(source, meta)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise _refused(data, encoding, f"its header announces more than {MAX_DECODED_PIXELS} pixels") from None
    except _ContradictionError as error:
        raise _refused(data, encoding, str(error)) from None
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - foreign bytes meet a foreign decoder: any failure is the image's
        raise _refused(data, encoding, f"it cannot be decoded ({type(error).__name__}: {error})") from None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = forgiving
    array.flags.writeable = False
    return array


class _ContradictionError(Exception):
    """The header is not what the meta says."""


def _refused(data: bytes | memoryview, encoding: str, reason: str) -> ImageLoadError:
    return ImageLoadError(f"{encoding} data of {len(data)} bytes: {reason}")


def _pixels_of(source: Any, meta: ImageMeta) -> NDArray[np.uint8]:
    from PIL import ImageOps

    if source.width * source.height > MAX_DECODED_PIXELS:
        raise _ContradictionError(f"its header announces more than {MAX_DECODED_PIXELS} pixels")
    size, wanted = source.size, (meta.width, meta.height)
    if wanted not in (size, size[::-1]):  # reading the orientation may decode a png: not before its size is believed
        raise _ContradictionError(f"image_meta says {wanted[0]}x{wanted[1]}, the file {size[0]}x{size[1]}")
    orientation = source.getexif().get(_ORIENTATION, 1)
    if orientation in _TURNED:
        size = size[::-1]
    if wanted != size:
        raise _ContradictionError(f"image_meta says {wanted[0]}x{wanted[1]}, the file {size[0]}x{size[1]} upright")
    upright = source if orientation == 1 else ImageOps.exif_transpose(source)
    if upright.mode.startswith("I"):
        return (np.asarray(upright, np.uint32) >> 8).astype(np.uint8)
    return np.asarray(upright if upright.mode in ("L", "RGB") else upright.convert("RGB"), np.uint8)
