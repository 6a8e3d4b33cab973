"""Signed envelopes: DSSE v1 (https://github.com/secure-systems-lab/dsse), which in-toto puts its
statements into. What was signed includes the payload's type, so one kind can't pass for another.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final

import msgspec

from shared.signing import Signer, Verifier

MOST: Final = 8  # signatures of one envelope that are looked at


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    sig: str
    keyid: str = ""  # a hint, which nobody relies on


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    payload_type: str
    payload: str
    signatures: tuple[Signature, ...]


def seal(signer: Signer, kind: str, payload: bytes) -> bytes:
    """The envelope of `payload`, whose type is `kind`, as JSON. The same each time."""
    signature = Signature(
        sig=_base64(signer.sign(encoded(kind, payload))), keyid=signer.verifier.id
    )
    return msgspec.json.encode(
        Envelope(payload_type=kind, payload=_base64(payload), signatures=(signature,)),
        order="sorted",
    )


def unseal(keys: Sequence[Verifier], kind: str, body: bytes) -> bytes | None:
    """The payload, when it is of type `kind` and one of `keys` signed it."""
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
        payload = _bytes(envelope.payload)
        signed = [_bytes(signature.sig) for signature in envelope.signatures[:MOST]]
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return None
    said = encoded(kind, payload)
    good = any(key.verify(said, signature) for signature in signed for key in keys)
    return payload if good and envelope.payload_type == kind else None


def encoded(kind: str, payload: bytes) -> bytes:
    """What is signed (DSSE's PAE).

    >>> encoded("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
