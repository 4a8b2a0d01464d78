"""Images by their id: a slot of the runner, or a development image; attached untracked, lent read-only (spec.md §3).

    pv1.<segment>.<slot>.<generation>   a slot; the segment is attached once per life of this process
    any other id                        segment pvdev-<16 hex of sha256(id)>: 64-byte header, then pixels or a file

What is lent during a hook call is settled after it: every view of an image, and every view of such a view, keeps the
array alive that np.frombuffer made, so a weak reference to that one array tells whether anybody still holds it. A copy
is counted by where the image lies that a hook gets, whoever made it. An image that is not what its meta says is an
ImageLoadError (1002) with the reason; a black picture is never invented.
"""

from __future__ import annotations

import gc
import hashlib
import mmap
import struct
import sys
import weakref
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from procvision_sdk import segment
from procvision_sdk.arena import Arena, SlotReference
from procvision_sdk.errors import ImageLoadError, SharedMemoryError
from procvision_sdk.image import ColorOrder, ImageMeta, Pixels, decode, in_order, view

DEV_MAGIC = b"PVDV"
DEV_HEADER = struct.Struct("<4sIQQ")
ARRAY, ENCODED = 1, 2
_FILE_MAGIC: dict[bytes, Literal["jpeg", "png"]] = {b"\xff\xd8\xff": "jpeg", b"\x89PN": "png"}
# pre_execute and execute of one step share one decode; a second entry serves a reference image beside it.
_MAX_DECODED = 2


# What a decoded image is known by: id, encoding, and what tells one content under this id from another.
DecodedKey = tuple[str, str, str]


class Stored(NamedTuple):
    """An image as it lies there, and the memory it lies in: its slot's, or that of its decoded pixels."""

    pixels: Pixels
    order: Literal["RGB", "BGR", "GRAY"]
    memory: Pixels


class Settlement(msgspec.Struct, frozen=True):
    """What a hook call did with its images. `copies` and `decodes` count whole images; a decode is no copy."""

    kept_view: bool = False
    copies: int = 0
    decodes: int = 0


class ImageReader:
    """Reads images for one process; `settle` ends what one hook call was lent."""

    def __init__(self) -> None:
        self._arenas: dict[str, Arena] = {}
        self._lent: list[weakref.ref[Pixels]] = []
        self._read_slots: set[SlotReference] = set()
        self._decoded: dict[DecodedKey, Pixels] = {}
        self._reads = self._copies = self._decodes = 0
        self._substituted = False

    def read(self, shared_mem_id: str, image_meta: Mapping[str, Any] | ImageMeta, order: ColorOrder) -> Pixels:
        """The image in the wanted order, read-only; ImageLoadError says why it cannot be had."""
        meta = image_meta if isinstance(image_meta, ImageMeta) else ImageMeta.of(image_meta)
        if not isinstance(shared_mem_id, str):
            raise ImageLoadError(f"shared_mem_id: expected text, got {type(shared_mem_id).__name__}")
        reference = SlotReference.parse(shared_mem_id)
        try:
            if reference is not None:
                stored = self._read_slot(reference, meta)
            else:
                stored = self._read_development_image(shared_mem_id, meta)
        except (SharedMemoryError, ImageLoadError) as error:
            raise ImageLoadError(f"image {shared_mem_id!a:.120}: {error.message}", hint=error.hint) from None
        self._reads += 1
        image = in_order(stored.pixels, stored.order, order)
        if not np.may_share_memory(image, stored.memory):
            self._copies += 1
        return image

    def substitute(self, image_meta: Mapping[str, Any] | ImageMeta, order: ColorOrder) -> Pixels:
        """Zeros for a caller that asked for them; then no verdict may be OK."""
        meta = image_meta if isinstance(image_meta, ImageMeta) else ImageMeta.of(image_meta)
        self._substituted = True
        zeros: Pixels = np.zeros(meta.shape, meta.dtype)
        zeros.flags.writeable = False
        return in_order(zeros, meta.color_space, order)

    @property
    def has_lent(self) -> bool:
        """Whether the running call was lent an image."""
        return self._reads > 0

    @property
    def has_substituted(self) -> bool:
        """Whether the running call was given zeros for an image."""
        return self._substituted

    def given_away(self) -> SlotReference | None:
        """A slot that this call read and that has a new image by now: what the call saw is nobody's image."""
        for slot in self._read_slots:
            if self._arenas[slot.segment].generation(slot.slot) != slot.generation:
                return slot
        return None

    def settle(self) -> Settlement:
        """End the loans of one call. A view that is still held gets one garbage collection, then it is reported."""
        kept = any(image() is not None for image in self._lent)
        if kept:
            gc.collect()
            kept = any(image() is not None for image in self._lent)
        settlement = Settlement(kept, self._copies, self._decodes)
        self._lent.clear()
        self._read_slots.clear()
        self._reads = self._copies = self._decodes = 0
        self._substituted = False
        return settlement

    def _read_slot(self, reference: SlotReference, meta: ImageMeta) -> Stored:
        arena = self._arena(reference.segment)
        data = arena.checked(reference)
        self._read_slots.add(reference)
        if meta.encoding == "array":
            return self._lend(data, meta)
        if meta.length_bytes is None or meta.length_bytes > len(data):
            raise ImageLoadError(
                f"image_meta.length_bytes: expected 1..{len(data)} for {meta.encoding} data, got {meta.length_bytes}",
                hint="say how many bytes of the slot the file takes; the rest may hold an older image",
            )
        key = (str(reference), meta.encoding, str(meta.length_bytes))
        stored = self._decode_once(key, data[: meta.length_bytes], meta, meta.encoding)
        if self.given_away() is not None:
            del self._decoded[key]
            raise ImageLoadError("its slot was given away while it was decoded")
        return stored

    def _arena(self, name: str) -> Arena:
        arena = self._arenas.get(name)
        if arena is None:
            size = None
            if sys.platform == "win32":
                size = Arena.layout_of(name, segment.attach(name)).size
            arena = self._arenas[name] = Arena.read(name, segment.attach(name, size))
        return arena

    def _read_development_image(self, shared_mem_id: str, meta: ImageMeta) -> Stored:
        name = dev_segment(shared_mem_id)
        root = segment.attach(name)
        magic, kind, length, _ = DEV_HEADER.unpack_from(root) if len(root) >= segment.HEADER_BYTES else (b"", 0, 0, 0)
        if magic != DEV_MAGIC:
            raise ImageLoadError("nothing was written under this id")
        if sys.platform == "win32":
            root = segment.attach(name, segment.HEADER_BYTES + length)
        data = root[segment.HEADER_BYTES : segment.HEADER_BYTES + length]
        if len(data) != length:
            raise ImageLoadError(f"its header speaks of {length} bytes, {len(data)} are there")
        if kind == ARRAY:
            if meta.encoding != "array" or length != meta.nbytes:
                expected = f"{meta.nbytes} bytes of {meta.color_space} {meta.dtype}"
                raise ImageLoadError(f"image_meta describes {expected} ({meta.encoding}), the array has {length} bytes")
            return self._lend(data, meta)
        encoding = _FILE_MAGIC.get(bytes(data[:3]))
        said = meta.said_encoding or encoding
        if encoding is None or said != encoding:
            raise ImageLoadError(f"image_meta.encoding says {said}, the data is {encoding or 'neither jpeg nor png'}")
        return self._decode_once((shared_mem_id, encoding, hashlib.sha256(data).hexdigest()), data, meta, encoding)

    def _lend(self, data: memoryview, meta: ImageMeta) -> Stored:
        pixels, owner = view(data, meta)
        self._lent.append(weakref.ref(owner))
        return Stored(pixels, meta.color_space, np.frombuffer(data, np.uint8))

    def _decode_once(
        self, key: DecodedKey, data: memoryview, meta: ImageMeta, encoding: Literal["jpeg", "png"]
    ) -> Stored:
        pixels = self._decoded.get(key)
        if pixels is None or pixels.shape[:2] != (meta.height, meta.width):
            self._decodes += 1
            pixels = decode(data, meta, encoding)
            while len(self._decoded) >= _MAX_DECODED:
                del self._decoded[next(iter(self._decoded))]
            self._decoded[key] = pixels
        return Stored(pixels, "GRAY" if pixels.ndim == 2 else "RGB", pixels)


reader = ImageReader()
_own_mappings: dict[str, mmap.mmap] = {}


def read_image_from_shared_memory(
    shared_mem_id: str, image_meta: Mapping[str, Any], on_missing: Literal["raise", "zeros"] = "raise"
) -> Pixels:
    """The image as (height, width, 3) RGB, read-only; zero-copy for array data (spec.md §3). Draw on `.copy()`."""
    return read_image(shared_mem_id, image_meta, as_="rgb", on_missing=on_missing)


def read_image(
    shared_mem_id: str,
    image_meta: Mapping[str, Any],
    as_: ColorOrder = "rgb",
    on_missing: Literal["raise", "zeros"] = "raise",
) -> Pixels:
    """The image as rgb, bgr (height, width, 3), gray (height, width) or native (as it lies there); read-only.

    The view is lent for the running hook: keep `.copy()`, never the view. Raises ImageLoadError (1002) with the reason;
    `on_missing="zeros"` gives zeros instead, marks the result `image_substituted`, and an OK verdict becomes 1002.
    """
    if as_ not in ("rgb", "bgr", "gray", "native"):
        raise ValueError(f"as_: expected rgb, bgr, gray or native, got {as_!r}")
    if on_missing not in ("raise", "zeros"):
        raise ValueError(f"on_missing: expected raise or zeros, got {on_missing!r}")
    try:
        return reader.read(shared_mem_id, image_meta, as_)
    except ImageLoadError:
        if on_missing == "zeros":
            return reader.substitute(image_meta, as_)
        raise


def dev_segment(shared_mem_id: str) -> str:
    """The segment of a development image; bare hosts write there in the same way (spec.md §3)."""
    return "pvdev-" + hashlib.sha256(shared_mem_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write_image_array_to_shared_memory(shared_mem_id: str, array: ArrayLike) -> None:
    """A development image out of an array: (h, w) or (h, w, 1, 3 or 4), uint8 or uint16, any strides; it is copied."""
    pixels = np.asarray(array)
    plane = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if pixels.dtype not in (np.uint8, np.uint16) or not plane or pixels.size == 0:
        raise ValueError(
            f"expected a (h, w) or (h, w, 1, 3 or 4) array of uint8 or uint16, got {pixels.shape} {pixels.dtype}"
        )
    _write(shared_mem_id, ARRAY, np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)


def dev_write_image_to_shared_memory(shared_mem_id: str, data: bytes) -> None:
    """A development image out of the bytes of a jpeg or png file; whether they are one is found out by reading it."""
    if not data:
        raise ValueError("expected the bytes of a jpeg or png file, got none")
    _write(shared_mem_id, ENCODED, memoryview(data).cast("B"))


def dev_clear_shared_memory(shared_mem_id: str) -> None:
    """Take a development image away: reading it is an error from now on. Views made before stay valid."""
    name = dev_segment(shared_mem_id)
    _own_mappings.pop(name, None)
    segment.unlink(name)


def _write(shared_mem_id: str, kind: int, data: memoryview) -> None:
    name = dev_segment(shared_mem_id)
    generation = 1 + _generation(name)
    dev_clear_shared_memory(shared_mem_id)
    mapping = segment.create(name, segment.HEADER_BYTES + len(data))
    mapping[segment.HEADER_BYTES :] = data
    DEV_HEADER.pack_into(mapping, 0, DEV_MAGIC, kind, len(data), generation)
    if sys.platform == "win32":
        _own_mappings[name] = mapping


def _generation(name: str) -> int:
    """How often the id was written since it was cleared; 0 when nothing is there."""
    try:
        root = segment.attach(name, segment.HEADER_BYTES)
    except SharedMemoryError:
        return 0
    generation: int = DEV_HEADER.unpack_from(root)[3]
    return generation % 2**63
