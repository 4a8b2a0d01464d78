"""package.json: one spelling, and nothing else is read (spec.md §10.7)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from procvision_sdk.errors import PackageError
from runner.packages.listing import MAX_LISTING_BYTES, ListedFile, Listing, digest, parse_listing

A = ListedFile(path="a.py", sha256="a" * 64, size_bytes=1)
B = ListedFile(path="ü/b.py", sha256="b" * 64, size_bytes=0)
GOOD = Listing(
    name="n", version="1", target="linux-x86_64", python="3.11", created_with="procvision 0.1.0", files=(A, B)
)


def test_a_listing_is_read_back_as_it_was_written() -> None:
    assert parse_listing(GOOD.to_bytes()) == GOOD
    assert b" " not in GOOD.to_bytes().replace(b"procvision 0.1.0", b"")


def test_the_digest_is_of_the_bytes() -> None:
    assert digest(GOOD.to_bytes()) == hashlib.sha256(GOOD.to_bytes()).hexdigest()


def _with(**changes: Any) -> bytes:
    return json.dumps(
        {**json.loads(GOOD.to_bytes()), **changes}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def _file(**changes: Any) -> bytes:
    return _with(files=[{"path": "a.py", "sha256": "a" * 64, "size_bytes": 1, **changes}])


REFUSED = [
    ("nothing", b"", "expected JSON in UTF-8"),
    ("half", GOOD.to_bytes()[:-1], "expected JSON in UTF-8"),
    ("more", GOOD.to_bytes() + b"\n", "expected sorted keys"),
    ("Latin-1", GOOD.to_bytes().replace("ü".encode(), "ü".encode("latin-1")), "expected JSON in UTF-8"),
    ("escaped", GOOD.to_bytes().replace("ü".encode(), b"\\u00fc"), "expected sorted keys"),
    ("a surrogate", GOOD.to_bytes().replace("ü".encode(), b"\\ud800"), "files.1.path: "),
    ("a key twice", GOOD.to_bytes().replace(b'"format":1', b'"format":1,"format":1'), "expected sorted keys"),
    ("a list", b"[]", "valid dictionary"),
    ("deep", b"[" * 100_000, "expected JSON in UTF-8"),
    ("no name", _with(name=""), "name: "),
    ("a name that is a path", _with(name="../x"), "name: "),
    ("another format", _with(format=2), "format: "),
    ("a format that is true", _with(format=True), "expected sorted keys|format: "),
    ("a key more", _with(more=1), "more: "),
    ("Python 2", _with(python="2.7"), "python: "),
    ("files out of order", _with(files=json.loads(_with())["files"][::-1]), "each path once, in ascending order"),
    ("a file twice", _with(files=json.loads(_with())["files"][:1] * 2), "each path once"),
    ("itself", _file(path="package.json"), "package.json cannot list itself"),
    ("its signature", _file(path="signature.json"), "signature.json cannot list itself"),
    ("capitals in a hash", _file(sha256="A" * 64), "sha256: "),
    ("a short hash", _file(sha256="a" * 63), "sha256: "),
    ("a negative size", _file(size_bytes=-1), "size_bytes: "),
    ("half a byte", _file(size_bytes=1.5), "size_bytes: "),
    ("a size as text", _file(size_bytes="1"), "size_bytes: "),
    ("too long", b" " * (MAX_LISTING_BYTES + 1), "expected at most"),
]


@pytest.mark.parametrize(("_what", "data", "message"), REFUSED)
def test_any_other_spelling_is_refused(_what: str, data: bytes, message: str) -> None:
    with pytest.raises(PackageError, match=message) as refused:
        parse_listing(data)
    assert refused.value.code == "2001"
