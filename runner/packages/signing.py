"""Signing: who vouches for a package. Ed25519 over the exact bytes of its listing (spec.md §10.8).

cryptography takes 7 MB: it is imported where something is signed or verified, not by each runner that serves.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from procvision_sdk.errors import ErrorCode, PackageError
from runner.packages.listing import LISTING, SIGNATURE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ALGORITHM = "ed25519"
_SIGNATURE_BYTES = 64
_MAX_BYTES = 4096
_GET_IT_AGAIN = "get the package from its publisher again"


@dataclass(frozen=True, slots=True)
class Signature:
    """`signature` is the 64 raw bytes; `key_id` says which key made it, and proves nothing by itself."""

    key_id: str
    signature: bytes


class _SignatureFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    algorithm: Literal["ed25519"]
    key_id: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{16}$")]
    signature: StrictStr


def new_key() -> bytes:
    """A fresh private key as PEM (PKCS 8, not encrypted)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_of(private_pem: bytes) -> bytes:
    """The public key, as PEM, of a private one. PackageError 2008 when it is no Ed25519 private key."""
    from cryptography.hazmat.primitives import serialization

    return (
        _private(private_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def key_id(public_pem: bytes) -> str:
    """The name of a key for people and logs: 16 hexadecimal digits. PackageError 2008 when it is no public key."""
    from cryptography.hazmat.primitives import serialization

    raw = _public(public_pem).public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def sign(listing_bytes: bytes, private_pem: bytes) -> bytes:
    """The bytes of signature.json. PackageError 2008 when the key cannot sign."""
    signature = _private(private_pem).sign(listing_bytes)
    told = {
        "algorithm": ALGORITHM,
        "key_id": key_id(public_of(private_pem)),
        "signature": base64.b64encode(signature).decode(),
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()


def parse_signature(data: bytes) -> Signature:
    """What signature.json says. PackageError 2008 when it cannot be read."""
    if len(data) > _MAX_BYTES:
        raise _refused(f"{SIGNATURE}: expected at most {_MAX_BYTES} bytes, got {len(data)}", _GET_IT_AGAIN)
    try:
        found = _SignatureFile.model_validate(json.loads(data))
        raw = base64.b64decode(found.signature, validate=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise _refused(f"{SIGNATURE}: {where}: {fault['msg']}", _GET_IT_AGAIN) from None
    except (ValueError, RecursionError) as error:
        raise _refused(f"{SIGNATURE}: expected JSON and base64: {error!s:.200}", _GET_IT_AGAIN) from None
    if len(raw) != _SIGNATURE_BYTES:
        raise _refused(f"{SIGNATURE}: expected {_SIGNATURE_BYTES} bytes of signature, got {len(raw)}", _GET_IT_AGAIN)
    return Signature(found.key_id, raw)


def verify(listing_bytes: bytes, signature: Signature, public_pem: bytes) -> None:
    """Return only when the key signed exactly these bytes; PackageError 2008 otherwise."""
    from cryptography.exceptions import InvalidSignature

    known = key_id(public_pem)
    if signature.key_id != known:
        raise _refused(
            f"{SIGNATURE}: expected a signature of key {known}, got one of key {signature.key_id}",
            f"get the package signed with key {known}, or give the public key {signature.key_id}",
        )
    try:
        _public(public_pem).verify(signature.signature, listing_bytes)
    except InvalidSignature:
        raise _refused(f"{SIGNATURE}: key {known} did not sign this {LISTING}", _GET_IT_AGAIN) from None


def _private(pem: bytes) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(f"private key: expected PEM without a password: {error!s:.200}", _MAKE_ONE) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refused(f"private key: expected Ed25519, got {type(key).__name__}", _MAKE_ONE)
    return key


def _public(pem: bytes) -> Ed25519PublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(f"public key: expected PEM: {error!s:.200}", _MAKE_ONE) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _refused(f"public key: expected Ed25519, got {type(key).__name__}", _MAKE_ONE)
    return key


_MAKE_ONE = "make a pair of keys with: procvision keygen; the public one ends in .pub"


def _refused(what: str, hint: str) -> PackageError:
    return PackageError(what, hint=hint, code=ErrorCode.SIGNATURE)
