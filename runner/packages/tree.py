"""What lies in an installed folder, recorded once it is complete, and what differs from that later (spec.md §10).

Each file has a SHA-256, each link its target; the interpreter that the environment leads to is one more file. The quick
look believes size, time and inode and hashes only what differs in them; the thorough one hashes everything.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages.places import MARKER, TREE, write_whole

_OWN = frozenset({TREE, MARKER, f"{TREE}.new", f"{MARKER}.new"})


class Look(Enum):
    """How much is believed of what the file system says."""

    QUICK = "quick"
    THOROUGH = "thorough"


@dataclass(frozen=True, slots=True)
class Node:
    """A file, or a link (`sha256` is then empty). `path` is relative to the folder, absolute outside of it."""

    path: str
    sha256: str
    link: str
    size_bytes: int
    modified_ns: int
    inode: int


def record(folder: Path, interpreter: Path) -> str:
    """Write down what lies in `folder`; the SHA-256 of that list."""
    nodes = [_node(folder, path) for path in _paths(folder)]
    nodes.append(_node(folder, interpreter.resolve()))
    data = json.dumps([asdict(node) for node in nodes], separators=(",", ":")).encode()
    write_whole(folder / TREE, data)
    return hashlib.sha256(data).hexdigest()


def digests(folder: Path, tree_sha256: str) -> dict[str, str]:
    """Recorded SHA-256 of each file by path; PackageError 2009 when the list is not the one that was recorded."""
    return {node.path: node.sha256 for node in _recorded(folder, tree_sha256)}


def differences(folder: Path, tree_sha256: str, look: Look) -> tuple[str, ...]:
    """One line for each file that was changed, added or taken away since; empty when all is as it was."""
    try:
        recorded = {node.path: node for node in _recorded(folder, tree_sha256)}
        there = {path.relative_to(folder).as_posix() for path in _paths(folder)}
    except PackageError as error:
        return (error.message,)
    inside = {path for path in recorded if not Path(path).is_absolute()}
    found = [f"{path} was added" for path in sorted(there - inside)]
    found += [f"{path} is gone" for path in sorted(inside - there)]
    for path in sorted(set(recorded) - (inside - there)):
        if reason := _difference(folder, recorded[path], look):
            found.append(f"{path} {reason}")
    return tuple(found)


def protect(folder: Path) -> None:
    """Take away the right to write below `folder`, so that nothing changes by mistake; its owner can give it back."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def _paths(folder: Path) -> Iterator[Path]:
    for place, names, files in os.walk(folder):
        links = [name for name in names if Path(place, name).is_symlink()]
        for name in sorted((*files, *links)):
            path = Path(place, name)
            if not (path.parent == folder and name in _OWN):
                yield path


def _node(folder: Path, path: Path) -> Node:
    status = path.lstat()
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    link = str(path.readlink()) if stat.S_ISLNK(status.st_mode) else ""
    inode = 0 if sys.platform == "win32" else status.st_ino
    return Node(name, "" if link else sha256(path), link, status.st_size, status.st_mtime_ns, inode)


def sha256(path: Path) -> str:
    """Of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded(folder: Path, tree_sha256: str) -> list[Node]:
    try:
        data = (folder / TREE).read_bytes()
    except OSError as error:
        raise _changed(f"{folder / TREE} cannot be read: {error.strerror}") from None
    if hashlib.sha256(data).hexdigest() != tree_sha256:
        raise _changed(f"{folder / TREE} is not the list that was recorded")
    return [Node(**one) for one in json.loads(data)]


def _difference(folder: Path, node: Node, look: Look) -> str:
    path = folder / node.path
    try:
        status = path.lstat()
        if node.link:
            return "" if stat.S_ISLNK(status.st_mode) and str(path.readlink()) == node.link else "leads elsewhere"
        if not stat.S_ISREG(status.st_mode):
            return "is no file any more"
        seen = (status.st_size, status.st_mtime_ns, 0 if sys.platform == "win32" else status.st_ino)
        if look is Look.QUICK and seen == (node.size_bytes, node.modified_ns, node.inode):
            return ""
        return "" if status.st_size == node.size_bytes and sha256(path) == node.sha256 else "was changed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _changed(text: str) -> PackageError:
    return PackageError(text, hint="uninstall the package and install it again", code=ErrorCode.HASH_MISMATCH)
