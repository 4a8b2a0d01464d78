"""What a zip archive holds, read and checked before a byte of it is unpacked (spec.md §10).

    (local header, data) (local header, data) ... central directory, [zip64 end, locator], end

The entries must lie side by side from the first byte to the last, each said twice in the same words: what two readers
could understand differently is refused. Reads headers only; memory is bounded by MAX_DIRECTORY_BYTES.
"""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import BinaryIO

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages import entry_names

MAX_ENTRIES = 20_000
MAX_TOTAL_BYTES = 8 * 2**30
MAX_RATIO = 200
# 20 000 entries of the longest names that are usual take 3 MB; this is far from both that and the memory there is.
MAX_DIRECTORY_BYTES = 8 * 2**20
STORED, DEFLATED = 0, 8

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_HALF, _WORD = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _DESCRIPTOR, _UTF8 = 0x1, 0x8, 0x800
# The two bits of deflate's effort, which mean nothing to a reader.
_EFFORT = 0x6
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
# After the data, where the header did not know the sizes yet: 4-byte or 8-byte sizes, with or without signature.
_DESCRIPTOR_SIZES = frozenset({12, 16, 20, 24})


@dataclass(frozen=True, slots=True)
class Rules:
    """What one kind of archive may have beyond plain files: each is harmless, and made by no packager of ours."""

    kind: str
    descriptors: bool
    other_fields: bool
    folders: bool


PACKAGE = Rules("package", descriptors=False, other_fields=False, folders=False)
WHEEL = Rules("wheel", descriptors=True, other_fields=True, folders=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file: where its bytes lie in the archive, how they are packed, and what they must become."""

    name: str
    method: int
    start: int
    packed_bytes: int
    size_bytes: int
    crc: int


@dataclass(frozen=True, slots=True)
class _Central:
    """One row of the central directory."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int
    fields: frozenset[int]


def unsafe(text: str) -> PackageError:
    return PackageError(
        text, hint="do not install it; build it with `procvision package`", code=ErrorCode.UNSAFE_ARCHIVE
    )


def broken(text: str) -> PackageError:
    return PackageError(text, hint="build or copy the package again", code=ErrorCode.INVALID_ZIP)


def read(file: BinaryIO, rules: Rules) -> tuple[Entry, ...]:
    """The files of the archive, in its order; PackageError 2001 when it is none, 2010 when it is not what it seems."""
    size = file.seek(0, 2)
    count, directory_bytes, directory_at, end_at = _ends(file, size)
    if count > MAX_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        raise unsafe(f"expected at most {MAX_ENTRIES} entries, the archive has {count} in {directory_bytes} bytes")
    if directory_at + directory_bytes != end_at:
        raise unsafe("there are bytes before the archive, or between its directory and its end")
    file.seek(directory_at)
    rows = _rows(file.read(directory_bytes), count)
    _check_rows(rows, rules, size)
    return _entries(file, rows, rules, directory_at)


def _ends(file: BinaryIO, size: int) -> tuple[int, int, int, int]:
    """Entries, bytes of the directory, its place, and where it must end."""
    if size < _END.size:
        raise broken(f"a zip archive has at least {_END.size} bytes, this has {size}")
    file.seek(size - _END.size)
    signature, disk, first, here, count, directory_bytes, directory_at, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6":
        raise _no_end(file, size)
    if (disk, first, here, comment) != (0, 0, count, 0):
        raise unsafe("the end of the archive names several disks or a comment")
    end_at = size - _END.size
    told = (count, directory_bytes, directory_at)
    if count != _HALF and _WORD not in (directory_bytes, directory_at):
        return *told, end_at
    return _end64(file, end_at, told)


def _no_end(file: BinaryIO, size: int) -> PackageError:
    """Why there is no end where it must be: something stands behind it, or it is cut off."""
    file.seek(max(0, size - _END.size - _HALF))
    if b"PK\5\6" in file.read(_END.size + _HALF):
        return unsafe("there are bytes behind the end of the archive")
    return broken("it is no zip archive, or it is cut off: its end is missing")


def _end64(file: BinaryIO, end_at: int, told: tuple[int, int, int]) -> tuple[int, int, int, int]:
    place = end_at - _LOCATOR.size - _END64.size
    if place < 0:
        raise unsafe("the end of the archive refers to a zip64 record that is not there")
    file.seek(place)
    record = _END64.unpack(file.read(_END64.size))
    locator = _LOCATOR.unpack(file.read(_LOCATOR.size))
    if (record[0], record[1], locator) != (b"PK\6\6", _END64.size - 12, (b"PK\6\7", 0, place, 1)):
        raise unsafe("the zip64 record does not stand where the archive says")
    disk, first, here, count, directory_bytes, directory_at = record[4:]
    real = (count, directory_bytes, directory_at)
    limits = (_HALF, _WORD, _WORD)
    same = all(short in (full, limit) for short, full, limit in zip(told, real, limits, strict=True))
    if (disk, first, here) != (0, 0, count) or not same:
        raise unsafe("the zip64 record contradicts the end of the archive")
    return *real, place


def _rows(directory: bytes, count: int) -> list[_Central]:
    rows: list[_Central] = []
    place = 0
    while place < len(directory):
        if len(directory) - place < _CENTRAL.size or directory[place : place + 4] != b"PK\1\2":
            raise broken(f"entry {len(rows)} of the directory cannot be read")
        found = _CENTRAL.unpack_from(directory, place)
        _, _, _, flags, method, _, _, crc, packed, size, names, fields, comment, disk, _, mode, offset = found
        name_at = place + _CENTRAL.size
        field_at = name_at + names
        place = field_at + fields + comment
        if place > len(directory) or comment or disk:
            raise unsafe(f"entry {len(rows)} of the directory has a comment, another disk, or an end outside of it")
        raw_name = directory[name_at:field_at]
        said = _fields(directory[field_at : field_at + fields])
        packed, size, offset = _full(said, size, packed, offset)
        others = frozenset(said) - {_ZIP64_FIELD}
        rows.append(_Central(raw_name, flags, method, crc, packed, size, offset, mode, others))
    if len(rows) != count:
        raise unsafe(f"the archive says {count} entries, its directory has {len(rows)}")
    return rows


def _fields(raw: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place + 4 <= len(raw):
        kind, length = struct.unpack_from("<2H", raw, place)
        if kind in found or place + 4 + length > len(raw):
            raise unsafe("an extra field stands twice, or ends outside of its header")
        found[kind] = raw[place + 4 : place + 4 + length]
        place += 4 + length
    if place != len(raw):
        raise unsafe("extra fields end in the middle of one")
    return found


def _full(fields: dict[int, bytes], size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """(packed, size, offset) with what zip64 says in place of full words; it must say these and nothing more."""
    said = fields.get(_ZIP64_FIELD, b"")
    wanted = sum(value == _WORD for value in (size, packed, offset))
    if len(said) != wanted * 8:
        raise unsafe("a zip64 field does not say what its header leaves to it")
    values = iter(struct.unpack(f"<{wanted}Q", said))
    size, packed, offset = (next(values) if value == _WORD else value for value in (size, packed, offset))
    return packed, size, offset


def _check_rows(rows: list[_Central], rules: Rules, archive_bytes: int) -> None:
    total = sum(row.size for row in rows)
    if total > MAX_TOTAL_BYTES or total > MAX_RATIO * archive_bytes:
        raise unsafe(
            f"unpacked it would have {total} bytes, {total / archive_bytes:.0f} times its own; at most "
            f"{MAX_TOTAL_BYTES} and {MAX_RATIO} times are allowed"
        )
    for row in rows:
        shown = f"{row.raw_name!a:.100}"
        if row.flags & _ENCRYPTED or row.flags & ~(_EFFORT | _UTF8 | (_DESCRIPTOR if rules.descriptors else 0)):
            raise unsafe(f"{shown} is encrypted, or has flags that are not allowed ({row.flags:#06x})")
        if row.method not in (STORED, DEFLATED) or (row.method == STORED and row.packed != row.size):
            raise unsafe(f"{shown} is packed by method {row.method}; store and deflate are allowed")
        _check_fields(shown, row.fields, rules)
        kind, bits = stat.S_IFMT(row.mode >> 16), stat.S_IMODE(row.mode >> 16)
        folder = rules.folders and row.raw_name.endswith(b"/") and not row.size
        if kind not in (0, stat.S_IFDIR if folder else stat.S_IFREG) or bits & 0o7000:
            raise unsafe(f"{shown} is a link, a device, or has special rights ({row.mode >> 16:o})")


def _check_fields(shown: str, others: frozenset[int], rules: Rules) -> None:
    if _UNICODE_PATH_FIELD in others or (others and not rules.other_fields):
        raise unsafe(f"{shown} has extra fields that are not allowed")


def _name(row: _Central) -> str:
    try:
        return row.raw_name.decode("utf-8" if row.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise unsafe(f"{row.raw_name!a:.100}: expected a name in UTF-8 that says so") from None


def _entries(file: BinaryIO, rows: list[_Central], rules: Rules, directory_at: int) -> tuple[Entry, ...]:
    """The entries; every byte before the directory belongs to one of them."""
    starts: dict[int, int] = {}
    expected = slack = 0
    for row in sorted(rows, key=lambda one: one.offset):
        if row.offset - expected not in ({0} if not slack else _DESCRIPTOR_SIZES):
            raise unsafe(f"{row.raw_name!a:.100} does not begin where the entry before it ends")
        start = starts[id(row)] = _data_start(file, row, rules)
        expected, slack = start + row.packed, row.flags & _DESCRIPTOR
    if directory_at - expected not in ({0} if not slack else _DESCRIPTOR_SIZES):
        raise unsafe("there are bytes between the last entry and the directory")
    entries = []
    for row in rows:
        name = _name(row)
        if rules.folders and name.endswith("/"):
            name = name.removesuffix("/")
        else:
            entries.append(Entry(name, row.method, starts[id(row)], row.packed, row.size, row.crc))
        if reason := entry_names.fault(name):
            raise unsafe(f"{name!a:.200} is no name for a file: {reason}")
    if reason := entry_names.collision(entry.name for entry in entries):
        raise unsafe(reason)
    return tuple(entries)


def _data_start(file: BinaryIO, row: _Central, rules: Rules) -> int:
    """Where the data begins; the header before it must say what the directory says."""
    shown = f"{row.raw_name!a:.100}"
    file.seek(row.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
        raise unsafe(f"{shown}: there is no entry where the directory says")
    _, _, flags, method, _, _, crc, packed, size, names, fields = _LOCAL.unpack(header)
    rest = file.read(names + fields)
    extra = _fields(rest[names:])
    if (size == _WORD) != (packed == _WORD):
        raise unsafe(f"{shown}: its own header leaves one of its sizes to zip64 and not the other")
    packed, size, _ = _full(extra, size, packed, 0)
    said = (rest[:names], flags, method, crc, packed, size)
    known = (row.raw_name, row.flags, row.method, row.crc, row.packed, row.size)
    later = (row.raw_name, row.flags, row.method, 0, 0, 0)
    if said != known and not (row.flags & _DESCRIPTOR and said == later):
        raise unsafe(f"{shown}: its own header contradicts the directory")
    _check_fields(shown, frozenset(extra) - {_ZIP64_FIELD}, rules)
    start: int = row.offset + _LOCAL.size + names + fields
    return start
