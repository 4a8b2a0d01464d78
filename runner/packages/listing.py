"""Listing: what a package says it consists of; its bytes are what is signed and what the digest is of (spec.md §10.7).

    package.json = {format, name, version, target, python, created_with, files: [{path, sha256, size_bytes} ...]}

There is one spelling of a listing, so that the same content has the same digest: sorted keys, no spaces, UTF-8, files
in order of their paths. Any other spelling is refused.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from procvision_sdk.errors import ErrorCode, PackageError

FORMAT: Final = 1
LISTING: Final = "package.json"
SIGNATURE: Final = "signature.json"
# 20 000 files at 130 bytes each. As JSON of the worst kind it takes thirty times its size in memory.
MAX_LISTING_BYTES: Final = 5 * 2**19

Sha256 = Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListedFile(_Model):
    """One entry of the archive: where, what its bytes hash to (hexadecimal SHA-256), and how many they are."""

    path: StrictStr = Field(min_length=1, max_length=1000)
    sha256: Sha256
    size_bytes: StrictInt = Field(ge=0)


class Listing(_Model):
    """Everything in a package but the listing itself and its signature; `files` are in order of their paths."""

    name: StrictStr = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    version: StrictStr = Field(pattern=r"^[0-9A-Za-z]([0-9A-Za-z.+_-]{0,62}[0-9A-Za-z])?$")
    target: StrictStr = Field(pattern=r"^[a-z0-9]+-[a-z0-9_]+$")
    python: StrictStr = Field(pattern=r"^3\.[0-9]{1,3}$")
    created_with: StrictStr = Field(max_length=200)
    files: tuple[ListedFile, ...]
    format: Literal[1] = FORMAT

    @model_validator(mode="after")
    def _lists_each_file_once(self) -> Listing:
        paths = [one.path for one in self.files]
        if paths != sorted(set(paths)):
            raise ValueError("files: expected each path once, in ascending order")
        own = sorted({LISTING, SIGNATURE} & set(paths))
        if own:
            raise ValueError(f"files: {own[0]} cannot list itself")
        return self

    def to_bytes(self) -> bytes:
        """The one spelling of this listing."""
        return json.dumps(self.model_dump(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(data: bytes) -> str:
    """The package's identity: hexadecimal SHA-256 of its listing's bytes."""
    return hashlib.sha256(data).hexdigest()


def parse_listing(data: bytes) -> Listing:
    """The listing in the bytes of package.json. PackageError 2001 when they are not exactly one listing's spelling."""
    if len(data) > MAX_LISTING_BYTES:
        raise _refused(f"expected at most {MAX_LISTING_BYTES} bytes, got {len(data)}")
    try:
        found = Listing.model_validate(json.loads(data))
        spelled = found.to_bytes()
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise _refused(f"{where}: {fault['msg']}".removeprefix(": ")) from None
    except (ValueError, RecursionError) as error:
        raise _refused(f"expected JSON in UTF-8: {error}") from None
    if spelled != data:
        raise _refused("expected sorted keys, no spaces and each key once")
    return found


def _refused(what: str) -> PackageError:
    return PackageError(
        f"{LISTING}: {what:.500}", hint="build the package again with procvision package", code=ErrorCode.INVALID_ZIP
    )
