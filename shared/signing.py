"""Keys that sign what is said about images, and keys that are trusted: ECDSA on P-256 with SHA-256.

A signature of the same bytes with the same key is the same every time (RFC 6979), so pushing it
again changes nothing. A pair of keys is made with

    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing.key
    openssl pkey -in signing.key -pubout -out trusted.pem
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from shared.errors import Invalid

LARGEST: Final = 1 << 16  # bytes of a file of keys
MOST: Final = 32  # trusted keys
CURVE: Final = "an elliptic curve key on P-256"

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
_END: Final = b"-----END PUBLIC KEY-----"


class Verifier:
    """A public key."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self.id = _id(key)

    def verify(self, body: bytes, signature: bytes) -> bool:
        try:
            self._key.verify(signature, body, _ALGORITHM)
        except InvalidSignature:
            return False
        return True


class Signer:
    """A private key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.verifier = Verifier(key.public_key())

    def sign(self, body: bytes) -> bytes:
        """The signature as DER."""
        return self._key.sign(body, _ALGORITHM)


def read_signer(path: Path, field: str = "SIGNING_KEY") -> Signer:
    """The private key in a PEM file. Raises Invalid that names `field`."""
    body = _read(path, field)
    if b"ENCRYPTED" in body:
        raise Invalid(field, f"{path}: the key is encrypted; give one without a passphrase")
    try:
        key = load_pem_private_key(body, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(field, f"{path} holds no private key in PEM form") from error
    if not (isinstance(key, ec.EllipticCurvePrivateKey) and _is_ours(key.curve)):
        raise Invalid(field, f"{path} must hold {CURVE}")
    return Signer(key)


def read_verifiers(path: Path, field: str = "TRUSTED_KEYS") -> Sequence[Verifier]:
    """The public keys in a PEM file, one after the other. Raises Invalid that names `field`."""
    body = _read(path, field)
    if b"PRIVATE KEY" in body:
        raise Invalid(field, f"{path} holds a private key; give the public one")
    blocks = [block + _END for block in body.split(_END)[:-1]]
    if not 1 <= len(blocks) <= MOST:
        raise Invalid(field, f"{path} must hold 1 to {MOST} public keys in PEM form")
    return [_verifier(block, path, field) for block in blocks]


def _verifier(block: bytes, path: Path, field: str) -> Verifier:
    try:
        key = load_pem_public_key(block)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Invalid(field, f"{path} holds a public key that can't be read") from error
    if not (isinstance(key, ec.EllipticCurvePublicKey) and _is_ours(key.curve)):
        raise Invalid(field, f"{path}: every key must be {CURVE}")
    return Verifier(key)


def _read(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            body = file.read(LARGEST + 1)
    except OSError as error:
        raise Invalid(field, f"{path} can't be read: {error.strerror}") from error
    if len(body) > LARGEST:
        raise Invalid(field, f"{path} is larger than {LARGEST} bytes")
    return body


def _is_ours(curve: ec.EllipticCurve) -> bool:
    return isinstance(curve, ec.SECP256R1)


def _id(key: ec.EllipticCurvePublicKey) -> str:
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).hexdigest()
