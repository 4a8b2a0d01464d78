"""What a station lets in: whose signatures, which versions, for which interpreter (spec.md §10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from packaging.version import InvalidVersion, Version

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages.signing import parse_signature, verify
from runner.packages.targets import Machine

Signatures = Literal["auto", "require", "warn", "off"]


@dataclass(frozen=True, slots=True)
class Policy:
    """A station's rules at one moment; read once per installation."""

    signatures: Signatures
    machine: Machine
    keys: Mapping[str, bytes] = field(default_factory=dict)
    """Public keys (PEM) by key id."""
    floors: Mapping[str, str] = field(default_factory=dict)
    """Package name -> the version that nothing older is let in than."""
    publishers: Mapping[str, str] = field(default_factory=dict)
    """Package name -> key id that its installed versions are signed with, "" for none."""

    @property
    def effective(self) -> Literal["require", "warn", "off"]:
        """`auto` warns until a key is pinned and requires a signature from then on."""
        if self.signatures != "auto":
            return self.signatures
        return "require" if self.keys else "warn"


def _refused(text: str, hint: str) -> PackageError:
    return PackageError(text, hint=hint, code=ErrorCode.SIGNATURE)


def check_signature(policy: Policy, name: str, listing: bytes, signature: bytes | None) -> tuple[str, str]:
    """(key id that was verified or "", warning or ""); PackageError 2008 when the policy refuses the package."""
    if policy.effective == "off":
        return "", ""
    pinned = policy.publishers.get(name, "")
    if signature is None:
        if policy.effective == "require" or pinned in policy.keys:
            raise _refused(f"{name} is not signed", "ask its publisher to sign it: `procvision package --sign KEY`")
        return "", f"{name} is not signed"
    found = parse_signature(signature)
    key = policy.keys.get(found.key_id)
    if key is None:
        told = f"{name} is signed with the key {found.key_id}, which this station does not trust"
        if policy.effective == "require" or pinned in policy.keys:
            raise _refused(told, "compare the key with its publisher, then `procvision-runner trust add KEYFILE`")
        return "", told
    verify(listing, found, key)
    if pinned in policy.keys and pinned != found.key_id:
        raise _refused(
            f"{name} is signed with {found.key_id}; its installed versions are of another publisher, {pinned}",
            f"when the publisher has a new key: `procvision-runner trust remove {pinned}`",
        )
    return found.key_id, ""


def check_floor(policy: Policy, name: str, version: str) -> None:
    """PackageError 2011 when the version is older than one that was active on this station."""
    floor = policy.floors.get(name)
    if floor is not None and is_older(version, floor):
        raise PackageError(
            f"{name} {version} is older than {floor}, which was active on this station",
            hint="install a newer version; `procvision-runner rollback` goes back to one that is installed",
            code=ErrorCode.DOWNGRADE_REFUSED,
        )


def is_older(version: str, other: str) -> bool:
    """By PEP 440 where both follow it, else number by number and word by word."""
    try:
        return Version(version) < Version(other)
    except InvalidVersion:
        return _words(version) < _words(other)


def _words(version: str) -> list[tuple[int, int, str]]:
    """Numbers are newer than words: 1.0 comes after 1.rc1."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part.lower()) for part in parts]
