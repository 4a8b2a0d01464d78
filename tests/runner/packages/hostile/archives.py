"""Archives that say one thing and hold another, made byte by byte; each with the code it must be refused with."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tests.doubles.packages import PackageDraft, zipped

Files = dict[str, bytes]
DRAFT = PackageDraft


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file that must be refused, and with which of these codes."""

    name: str
    data: Callable[[], bytes]
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Raw:
    """One entry as its two headers tell it; None: the local header tells what the directory tells."""

    name: bytes
    data: bytes = b""
    method: int = 0
    packed: bytes | None = None
    size: int | None = None
    packed_size: int | None = None
    crc: int | None = None
    flags: int = 0
    mode: int = 0o100644
    local_name: bytes | None = None
    local_size: int | None = None
    local_crc: int | None = None
    local_method: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    system: int = 3


def archive(entries: list[Raw], *, before: bytes = b"", between: bytes = b"", after: bytes = b"") -> bytes:
    """The bytes of an archive with exactly these headers."""
    out, rows = io.BytesIO(before), []
    out.seek(0, 2)
    for one in entries:
        offset = out.tell()
        _write_local(out, one)
        rows.append(_row(one, offset))
    out.write(between)
    place, directory = out.tell(), b"".join(rows)
    out.write(directory)
    out.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(rows), len(rows), len(directory), place, 0))
    out.write(after)
    return out.getvalue()


def _sizes(one: Raw) -> tuple[bytes, int, int, int]:
    packed = one.packed if one.packed is not None else one.data
    crc = zlib.crc32(one.data) if one.crc is None else one.crc
    size = len(one.data) if one.size is None else one.size
    return packed, crc, len(packed) if one.packed_size is None else one.packed_size, size


def _write_local(out: io.BytesIO, one: Raw) -> None:
    packed, crc, packed_size, size = _sizes(one)
    name = one.name if one.local_name is None else one.local_name
    method = one.method if one.local_method is None else one.local_method
    crc = crc if one.local_crc is None else one.local_crc
    size = size if one.local_size is None else one.local_size
    numbers = (20, one.flags, method, 0, 33, crc, packed_size, size, len(name), len(one.local_extra))
    out.write(struct.pack("<4s5H3L2H", b"PK\3\4", *numbers) + name + one.local_extra + packed)


def _row(one: Raw, offset: int) -> bytes:
    _, crc, packed_size, size = _sizes(one)
    numbers = (20 | one.system << 8, 20, one.flags, one.method, 0, 33, crc, packed_size, size)
    lengths = (len(one.name), len(one.extra), len(one.comment), 0, 0, one.mode << 16, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\1\2", *numbers, *lengths) + one.name + one.extra + one.comment


def good() -> Files:
    return DRAFT().contents()


def raws(files: Files) -> list[Raw]:
    return [Raw(name.encode(), files[name]) for name in sorted(files)]


def with_entry(*extra: Raw) -> bytes:
    return archive([*raws(good()), *extra])


def first_as(**changes: object) -> bytes:
    entries = raws(good())
    entries[0] = replace(entries[0], **changes)  # type: ignore[arg-type]
    return archive(entries)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def overlapping() -> bytes:
    """Two names for the bytes of one entry, the trick of small bombs."""
    out, rows = io.BytesIO(), []
    one = Raw(b"a", b"x" * 1000)
    _write_local(out, one)
    rows = [_row(one, 0), _row(one, 0)]
    return _closed(out, rows)


def quoted() -> bytes:
    """An entry whose data holds the header of the next: bytes are counted twice."""
    out = io.BytesIO()
    inner = Raw(b"b", b"y" * 100)
    held = io.BytesIO()
    _write_local(held, inner)
    outer = Raw(b"a", held.getvalue())
    _write_local(out, outer)
    place = 30 + 1
    return _closed(out, [_row(outer, 0), _row(inner, place)])


def _closed(out: io.BytesIO, rows: list[bytes]) -> bytes:
    place, directory = out.tell(), b"".join(rows)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(rows), len(rows), len(directory), place, 0)
    return out.getvalue() + directory + end


def patched(place_from_end: int, code: str, *values: int) -> bytes:
    """A good archive with numbers of its end record changed."""
    data = bytearray(zipped(good()))
    struct.pack_into(code, data, len(data) - place_from_end, *values)
    return bytes(data)


def zip64_end(count: int, size: int, place: int, *, promised: int = 0xFFFF) -> bytes:
    """A good archive that leaves its numbers to a zip64 record, which says these."""
    data = zipped(good())
    body = data[:-22]
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, place)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, promised, promised, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return body + record + locator + end


def bomb(total: int, count: int = 1) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for number in range(count):
            info = zipfile.ZipInfo(f"zeros{number}")
            info.external_attr = 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            with out.open(info, "w") as file:
                for _ in range(total >> 20):
                    file.write(bytes(1 << 20))
    return made.getvalue()


def crowd(count: int) -> bytes:
    return archive([Raw(f"f/{number}".encode()) for number in range(count)])


NAMES = [
    b"../evil", b"a/../../evil", b"..", b"/etc/evil", b"//host/evil", b"C:/evil", b"C:evil", b"a\\..\\evil", b"\\evil",
    b"a\0b", b"a\nb", b"a\x1bb", b"x" * 201, b"a/" * 600 + b"b", b"con", b"aux.txt", b"d/NUL.tar.gz", b"com1",
    b"lpt9.py", b"conin$", b"dot.", b"space ", b"a./b", b" leading", b"./a", b"a//b", b"folder/", b"a:stream",
    b"what?", b"",
]  # fmt: skip
UTF8_NAMES = ["turn\u202etxt.exe", "zero\u200bwidth", "com\u00b9", "\ud7ff\ue000private", "nel\u0085"]
TWINS = [
    (b"Demo/__init__.py", 0), (b"demo/MAIN.py", 0), (b"demo/main.py", 0), (b"manifest.json", 0), (b"MANIFEST.JSON", 0),
    (b"demo", 0), (b"demo/main.py/x", 0), ("caf\u00e9".encode(), 0x800), ("cafe\u0301".encode(), 0x800),
    ("stra\u00dfe".encode(), 0x800), (b"strasse", 0),
]  # fmt: skip


def names() -> Iterator[Hostile]:
    """D1, D4: names that leave the folder, or mean another file elsewhere."""
    for name in NAMES:
        yield Hostile(f"name {name[:24]!a}", lambda name=name: with_entry(Raw(name)), ("2010",))  # type: ignore[misc]
    for text in UTF8_NAMES:
        raw = Raw(text.encode(), flags=0x800)
        yield Hostile(f"name {text!a}", lambda raw=raw: with_entry(raw), ("2010",))  # type: ignore[misc]
    yield Hostile("a name in no encoding", lambda: with_entry(Raw("\u00e9".encode("latin-1"))), ("2010",))
    yield Hostile("a name that is not UTF-8", lambda: with_entry(Raw(b"\xff\xfe", flags=0x800)), ("2010",))
    pairs = [TWINS[:1], TWINS[1:2], TWINS[2:3], TWINS[3:4], TWINS[4:5], TWINS[5:6], TWINS[6:7], TWINS[7:9], TWINS[9:11]]
    for pair in pairs:
        entries = [Raw(name, flags=flags) for name, flags in pair]
        said = " and ".join(f"{name!a}" for name, _ in pair)
        yield Hostile(f"twin {said}", lambda entries=entries: with_entry(*entries), ("2010",))  # type: ignore[misc]


MODES = {
    "symlink": stat.S_IFLNK | 0o777, "character device": stat.S_IFCHR | 0o600, "block device": stat.S_IFBLK | 0o600,
    "named pipe": stat.S_IFIFO | 0o600, "socket": stat.S_IFSOCK | 0o600, "folder mode": stat.S_IFDIR | 0o755,
    "setuid": 0o104755, "setgid": 0o102755, "sticky": 0o101644,
}  # fmt: skip


def modes() -> Iterator[Hostile]:
    """D2: what is no plain file."""
    for name, mode in MODES.items():
        raw = Raw(b"x", b"/etc/passwd", mode=mode)
        yield Hostile(name, lambda raw=raw: with_entry(raw), ("2010",))  # type: ignore[misc]
    yield Hostile("symlink made on DOS", lambda: with_entry(Raw(b"x", b"/etc", mode=0o120777, system=0)), ("2010",))


def bombs() -> Iterator[Hostile]:
    """D3: more than it seems, and sizes that are not so."""
    yield Hostile("ratio", lambda: bomb(64 << 20), ("2010",))
    yield Hostile("many zeros", lambda: bomb(4 << 20, 10), ("2010",))
    yield Hostile("20001 entries", lambda: crowd(20_001), ("2010",))
    yield Hostile("65535 entries said", lambda: patched(14, "<2H", 65_534, 65_534), ("2010",))
    yield Hostile("overlapping entries", overlapping, ("2010",))
    yield Hostile("an entry inside another", quoted, ("2010",))
    yield Hostile("9 GiB said", lambda: first_as(size=0xFFFFFFFE), ("2010",))
    yield Hostile("unpacks to more than it says", lambda: archive(_but(good(), _stretched(b"x" * 5000))), ("2010",))
    yield Hostile("unpacks to less than it says", lambda: archive(_but(good(), _stretched(b"", -10))), ("2010",))
    wide = struct.pack("<2HQ", 1, 8, 12)
    yield Hostile("zip64 field that nobody asked for", lambda: first_as(extra=wide), ("2010",))
    yield Hostile("zip64 field that is missing", lambda: first_as(size=0xFFFFFFFF), ("2010",))
    yield Hostile("zip64 end says more entries", lambda: zip64_end(10**6, 1000, 0), ("2010",))
    yield Hostile("zip64 end of 2^63 bytes", lambda: zip64_end(3, 2**63, 2**62), ("2010",))
    yield Hostile("zip64 end contradicts", lambda: zip64_end(3, 1000, 0, promised=5), ("2010",))
    yield Hostile("zip64 end is missing", lambda: patched(6, "<L", 0xFFFFFFFF), ("2010",))
    yield Hostile("directory of 4 GiB said", lambda: patched(10, "<L", 0xFFFFFFF0), ("2010",))


def _stretched(more: bytes, cut: int | None = None) -> Raw:
    """The listing, packed with more or less than its headers say."""
    listing = good()["package.json"]
    return Raw(b"package.json", listing, method=8, packed=deflated(listing[:cut] + more))


def _but(files: Files, raw: Raw) -> list[Raw]:
    """The good entries, one of them replaced."""
    return [raw if one.name == raw.name else one for one in raws(files)]


def doubles() -> Iterator[Hostile]:
    """D5: what two readers understand differently."""
    yield Hostile("local name differs", lambda: first_as(local_name=b"../../evil"), ("2010",))
    yield Hostile("local size differs", lambda: first_as(local_size=7), ("2010",))
    yield Hostile("local checksum differs", lambda: first_as(local_crc=7), ("2010",))
    yield Hostile("local method differs", lambda: first_as(local_method=8), ("2010",))
    yield Hostile(
        "checksum is wrong in both",
        lambda: archive(_but(good(), Raw(b"manifest.json", b"{}", crc=7))),
        ("2001", "2009"),
    )
    yield Hostile("bytes before", lambda: archive(raws(good()), before=b"MZ" * 50), ("2010",))
    yield Hostile("a script before, offsets not moved", lambda: b"#!/bin/sh\n" + zipped(good()), ("2010",))
    yield Hostile("bytes between", lambda: archive(raws(good()), between=b"x" * 9), ("2010",))
    yield Hostile("bytes behind", lambda: archive(raws(good()), after=b"x"), ("2010",))
    yield Hostile("an archive behind an archive", lambda: zipped(good()) + zipped(good()), ("2010",))
    yield Hostile("encrypted", lambda: first_as(flags=0x1), ("2010",))
    yield Hostile("strongly encrypted", lambda: first_as(flags=0x41), ("2010",))
    yield Hostile("hidden headers", lambda: first_as(flags=0x2000), ("2010",))
    yield Hostile("sizes behind the data", lambda: first_as(flags=0x8), ("2010",))
    for method in (1, 9, 12, 14, 93, 95, 97, 99):
        yield Hostile(f"method {method}", lambda method=method: first_as(method=method), ("2010",))  # type: ignore[misc]
    yield Hostile(
        "another name in a field", lambda: first_as(extra=struct.pack("<2H5s", 0x7075, 5, b"\1evil")), ("2010",)
    )
    yield Hostile(
        "a field in the local header", lambda: first_as(local_extra=struct.pack("<2H2s", 9, 2, b"xx")), ("2010",)
    )
    yield Hostile("a field that is cut off", lambda: first_as(extra=b"\1\0\x08"), ("2010",))
    yield Hostile("a comment on an entry", lambda: first_as(comment=b"hello"), ("2010",))
    yield Hostile("a comment on the archive", lambda: zipped(good())[:-2] + b"\5\0hello", ("2010",))
    yield Hostile("several disks", lambda: patched(18, "<H", 1), ("2010",))
    yield Hostile("fewer entries said", lambda: patched(14, "<2H", 1, 1), ("2010",))
    yield Hostile("no zip at all", lambda: b"hello" * 100, ("2001",))
    yield Hostile("empty", lambda: b"", ("2001",))
    yield Hostile("an empty zip", lambda: zipped({}), ("2001",))
