"""`procvision keygen`: the pair of keys that a publisher signs packages with (spec.md §10.8)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from procvision_sdk.errors import ErrorCode
from runner.dev.project import UsageError
from runner.packages import signing


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where the two keys were written, and by which name logs and stations know them."""

    private: Path
    public: Path
    key_id: str


def keygen(private: Path) -> KeyPair:
    """A new pair: `private`, for its owner alone, and beside it `private`.pub. UsageError when one is there already."""
    public = private.with_name(f"{private.name}.pub")
    for path in (private, public):
        if os.path.lexists(path):
            raise UsageError(f"{path} is there already: nothing was written", hint="choose another name with -o")
    pem = signing.new_key()
    public_pem = signing.public_of(pem)
    written: list[Path] = []
    try:
        for path, content, mode in ((private, pem, 0o600), (public, public_pem, 0o644)):
            _write_new(path, content, mode)
            written.append(path)
    except OSError as error:
        for path in written:
            path.unlink()
        raise UsageError(f"{error.filename} cannot be written: {error.strerror}", code=ErrorCode.DISK) from None
    return KeyPair(private, public, signing.key_id(public_pem))


def show(made: KeyPair, form: Literal["text", "json"]) -> None:
    """Where the keys are, and what each is for."""
    if form == "json":
        told = {"private": str(made.private), "public": str(made.public), "key_id": made.key_id}
        print(json.dumps(told, indent=2))
        return
    print(f"key {made.key_id}")
    print(f"  {made.private}  keep it secret: procvision package PROJECT --sign {made.private}")
    print(f"  {made.public}  give it to stations: procvision-runner trust add {made.public}")


def read_private_key(path: Path) -> bytes:
    """The PEM of a private key that can sign; UsageError when the file cannot be read, PackageError 2008 for others."""
    pem = _read(path, "--sign")
    signing.public_of(pem)
    return pem


def read_public_key(path: Path) -> bytes:
    """The PEM of a public key; UsageError when the file cannot be read, PackageError 2008 when it is none."""
    pem = _read(path, "--key")
    signing.key_id(pem)
    return pem


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{option}: {path} cannot be read: {error.strerror}", hint="make a pair of keys with: procvision keygen"
        ) from None


def _write_new(path: Path, content: bytes, mode: int) -> None:
    """Never over what is there. On Windows the mode says little: the folder's owner decides who may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
