"""signature.json: who vouches for a package (spec.md §10.8)."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from procvision_sdk.errors import PackageError
from runner.packages import signing

PRIVATE = signing.new_key()
PUBLIC = signing.public_of(PRIVATE)
LISTING = b'{"format":1}'
RSA = rsa.generate_private_key(65537, 2048)
RSA_PRIVATE = RSA.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
RSA_PUBLIC = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
LOCKED = Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
)


def test_what_was_signed_is_verified() -> None:
    signing.verify(LISTING, signing.parse_signature(signing.sign(LISTING, PRIVATE)), PUBLIC)


def test_a_signature_is_the_same_each_time() -> None:
    assert signing.sign(LISTING, PRIVATE) == signing.sign(LISTING, PRIVATE)


def test_a_key_id_is_of_the_raw_public_key() -> None:
    key = serialization.load_pem_public_key(PUBLIC)
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert signing.key_id(PUBLIC) == hashlib.sha256(raw).hexdigest()[:16]


@pytest.mark.parametrize("listing", [LISTING + b" ", LISTING[:-1], b""])
def test_other_bytes_are_refused(listing: bytes) -> None:
    signature = signing.parse_signature(signing.sign(LISTING, PRIVATE))
    with pytest.raises(PackageError, match="did not sign this") as refused:
        signing.verify(listing, signature, PUBLIC)
    assert refused.value.code == "2008"


def test_another_key_is_refused_even_under_a_borrowed_name() -> None:
    other = signing.new_key()
    signature = signing.parse_signature(signing.sign(LISTING, other))
    with pytest.raises(PackageError, match="expected a signature of key"):
        signing.verify(LISTING, signature, PUBLIC)
    borrowed = signing.Signature(signing.key_id(PUBLIC), signature.signature)
    with pytest.raises(PackageError, match="did not sign this"):
        signing.verify(LISTING, borrowed, PUBLIC)


GOOD = json.loads(signing.sign(LISTING, PRIVATE))
UNREADABLE = [
    (b"", "expected JSON and base64"),
    (b"\xff", "expected JSON and base64"),
    (b"[]", "valid dictionary"),
    (json.dumps({**GOOD, "algorithm": "none"}).encode(), "algorithm: "),
    (json.dumps({**GOOD, "key_id": "x"}).encode(), "key_id: "),
    (json.dumps({**GOOD, "more": 1}).encode(), "more: "),
    (json.dumps({**GOOD, "signature": "***"}).encode(), "expected JSON and base64"),
    (json.dumps({**GOOD, "signature": base64.b64encode(b"x").decode()}).encode(), "expected 64 bytes of signature"),
    (b" " * 5000, "expected at most 4096 bytes"),
]


@pytest.mark.parametrize(("data", "message"), UNREADABLE, ids=[message for _, message in UNREADABLE])
def test_what_is_no_signature_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(PackageError, match=message) as refused:
        signing.parse_signature(data)
    assert refused.value.code == "2008"


@pytest.mark.parametrize("pem", [b"", b"text", PUBLIC, RSA_PRIVATE, LOCKED])
def test_what_is_no_private_key_cannot_sign(pem: bytes) -> None:
    with pytest.raises(PackageError, match="private key: expected") as refused:
        signing.sign(LISTING, pem)
    assert refused.value.code == "2008"


@pytest.mark.parametrize("pem", [b"", b"text", PRIVATE, RSA_PUBLIC])
def test_what_is_no_public_key_verifies_nothing(pem: bytes) -> None:
    signature = signing.parse_signature(signing.sign(LISTING, PRIVATE))
    with pytest.raises(PackageError, match="public key: expected"):
        signing.verify(LISTING, signature, pem)


def test_a_runner_that_serves_does_not_carry_what_only_a_signature_needs() -> None:
    program = "import sys, runner.cli, runner.daemon; print('cryptography' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True)
    assert told.stdout.strip() == b"False"
