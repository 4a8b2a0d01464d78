"""Image files that lie about themselves: judged in the worker, told as 1002, within bounded memory (spec.md §3.13)."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.doubles.around_a_fault import around_a_fault
from tests.doubles.daemon import CAPACITY_BYTES, IMAGE, Daemon

META: dict[str, Any] = {"width": 64, "height": 48, "timestamp_ms": 1, "camera_id": "c"}
_MIB = 1024 * 1024
SMALL = IMAGE[:16, :16]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with around_a_fault(tmp_path_factory.mktemp("s"), slots__capacity_bytes=4 * CAPACITY_BYTES) as running:
        yield running


def peak_bytes(os_pid: int) -> int:
    """The most memory a process ever had, shared slots included."""
    status = Path(f"/proc/{os_pid}/status").read_text("ascii").splitlines()
    (line,) = [line for line in status if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def inspect_file(daemon: Daemon, data: bytes, **meta: Any) -> dict[str, Any]:
    """The first step on a file, in the one process that served from the beginning."""
    with daemon.client() as client:
        lease = client.lease()
        asked = lease.put_encoded(data, {**META, **meta})
        result = client.inspect("S1", lease, asked, step_index=1, renew=False)
    assert (result["incarnation"], result["attempts"]) == (1, 1), result
    return result


def saved(kind: str, image: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, pixels: bytes = b"", extra: bytes = b"") -> bytes:
    """A png whose header says what it is told to."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def jpeg_of(width: int, height: int) -> bytes:
    """A jpeg whose frame header was given another size."""
    whole = bytearray(saved("jpeg", SMALL))
    at = whole.index(b"\xff\xc0") + 5
    whole[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


TURNED = Image.Exif()
TURNED[0x0112] = 6  # by a quarter
_TEXT_BOMB = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(80 * _MIB)))
_WHOLE = {kind: saved(kind, IMAGE) for kind in ("png", "jpeg")}

BOMBS: list[tuple[str, bytes, dict[str, Any]]] = [
    ("png of 4 gigapixels", png(65_535, 65_535), {"encoding": "png", "width": 65_535, "height": 65_535}),
    ("jpeg of 4 gigapixels", jpeg_of(65_535, 65_535), {"encoding": "jpeg", "width": 65_535, "height": 65_535}),
    ("png of no width", png(0, 48), {"encoding": "png"}),
    ("png of 2**31 pixels a side", png(2**31 - 1, 2**31 - 1), {"encoding": "png"}),
    ("pixels that go on for ever", png(64, 48, bytes(100 * _MIB)), {"encoding": "png", "width": 65}),
    ("a comment that unfolds", png(64, 48, bytes(48 * 193), _TEXT_BOMB), {"encoding": "png"}),
    ("tiff as png", saved("tiff", IMAGE), {"encoding": "png"}),
    ("bmp as jpeg", saved("bmp", IMAGE), {"encoding": "jpeg"}),
    ("gif as png", saved("gif", IMAGE), {"encoding": "png"}),
    ("png as jpeg", _WHOLE["png"], {"encoding": "jpeg"}),
    ("other size", _WHOLE["png"], {"encoding": "png", "width": 63}),
    ("size before it was turned", saved("jpeg", IMAGE, exif=TURNED), {"encoding": "jpeg"}),
    ("truncated png", _WHOLE["png"][: len(_WHOLE["png"]) // 2], {"encoding": "png"}),
    ("truncated jpeg", _WHOLE["jpeg"][: len(_WHOLE["jpeg"]) // 2], {"encoding": "jpeg"}),
    ("header alone", _WHOLE["png"][:33], {"encoding": "png"}),
    ("nothing", b"\0" * 64, {"encoding": "jpeg"}),
]  # fmt: skip


@pytest.mark.fault("C14")
@pytest.mark.parametrize(("data", "meta"), [one[1:] for one in BOMBS], ids=[one[0] for one in BOMBS])
def test_a_file_that_lies_is_1002_in_its_worker_and_takes_no_memory(
    daemon: Daemon, data: bytes, meta: dict[str, Any]
) -> None:
    assert len(data) <= 4 * CAPACITY_BYTES
    pids = (daemon.process.pid, daemon.worker("steady")["os_pid"])
    before = [peak_bytes(one) for one in pids]
    result = inspect_file(daemon, data, **meta)
    assert (result["status"], result["error_code"]) == ("ERROR", "1002"), result
    assert "result_status" not in result["data"] and result["message"]
    grown = [peak_bytes(one) - was for one, was in zip(pids, before, strict=True)]
    assert grown[0] < 16 * _MIB and grown[1] < 128 * _MIB, grown


@pytest.mark.fault("C14")
@pytest.mark.parametrize(("encoding", "ending"), [("bmp", "bmp"), ("tiff", "tiff"), ("webp", "png")])
def test_an_encoding_that_is_not_read_is_refused_by_its_name(daemon: Daemon, encoding: str, ending: str) -> None:
    with daemon.client() as client:
        lease = client.lease()
        meta = lease.put_encoded(saved(ending, IMAGE), {**META, "encoding": encoding})
        result = client.inspect("S1", lease, meta, step_index=1, renew=False)
    assert result["error_code"] == "1002" and "encoding" in result["message"]


@pytest.mark.fault("C14")
@pytest.mark.parametrize(
    ("kind", "image"),
    [
        ("jpeg", Image.fromarray(IMAGE).convert("CMYK")),
        ("png", Image.fromarray(IMAGE[:, :, 0].astype(np.uint16) * 257)),
        ("png", Image.fromarray(IMAGE).convert("P")),
        ("png", Image.fromarray(IMAGE).convert("RGBA")),
        ("png", Image.fromarray(IMAGE).convert("1")),
    ],
    ids=["cmyk", "16 bit", "palette", "alpha", "one bit"],
)
def test_an_unusual_file_is_read_as_plain_colours(daemon: Daemon, kind: str, image: Image.Image) -> None:
    result = inspect_file(daemon, saved(kind, image), encoding=kind)
    assert (result["status"], result["data"]["result_status"], result["decodes"]) == ("OK", "OK", 1), result


@pytest.mark.fault("C14")
def test_a_file_that_must_be_turned_is_turned(daemon: Daemon) -> None:
    result = inspect_file(daemon, saved("jpeg", IMAGE, exif=TURNED), encoding="jpeg", width=48, height=64)
    assert (result["status"], result["decodes"]) == ("OK", 1)


def mutated(dice: random.Random, whole: bytes) -> bytes:
    """A file with a few bytes changed, cut out or cut off."""
    data = bytearray(whole)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(2, len(data))
        match dice.randrange(4):
            case 0:
                del data[at : at + dice.randint(1, 30)]
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
            case 2 if dice.random() < 0.2:
                del data[at:]
            case _:
                data[at : at + 1] = dice.randbytes(1)
        if len(data) < 4:
            break
    return bytes(data)


@pytest.mark.fault("C14")
@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])])
def test_mutated_files_are_an_image_or_1002_and_end_no_process(daemon: Daemon, count: int) -> None:
    dice = random.Random(20_250_112)
    corpus = [("png", saved("png", SMALL)), ("jpeg", saved("jpeg", SMALL)), ("png", saved("png", SMALL[:, :, 0]))]
    meta = {**META, "width": 16, "height": 16}
    codes = []
    with daemon.client() as client:
        lease = client.lease()
        for _ in range(count):
            kind, whole = dice.choice(corpus)
            asked = lease.put_encoded(mutated(dice, whole), {**meta, "encoding": kind})
            result = client.inspect("S1", lease, asked, step_index=1)
            assert (result["incarnation"], result["attempts"]) == (1, 1), result
            codes.append(result["error_code"])
        client.release(lease)
    assert set(codes) == {"", "1002"}
