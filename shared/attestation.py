"""What is said about an image and can be verified: that it is ours, and how it was made.

Both are kept beside the image in its repository, as artifacts whose `subject` it is, and under the
tags where cosign looks: https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. The
builder writes them and the scheduler verifies them; docs/adr/0008 says why they are as they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shared import dsse
from shared.signing import Signer, Verifier

SIGNATURE: Final = "application/vnd.dev.cosign.artifact.sig.v1+json"  # artifact types
PROVENANCE: Final = "application/vnd.in-toto.provenance+dsse"
UNSIGNED_PROVENANCE: Final = "application/vnd.in-toto+json"
SBOM: Final = "application/vnd.cyclonedx+json"

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"  # media types
ENVELOPE: Final = "application/vnd.dsse.envelope.v1+json"
STATEMENT: Final = "application/vnd.in-toto+json"

SIGNED: Final = "dev.cosignproject.cosign/signature"  # annotation of a signature's layer
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://slsa.dev/provenance/v1"

_CLAIM: Final = "cosign container image signature"


class Statement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An in-toto Statement v1."""

    type: str = msgspec.field(name="_type", default=STATEMENT_TYPE)
    subject: tuple[Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    name: str = ""
    digest: dict[str, str]


class _Identity(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    docker_reference: str


class _Image(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    docker_manifest_digest: str


class _Critical(msgspec.Struct, frozen=True, kw_only=True):
    identity: _Identity
    image: _Image
    type: str


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    critical: _Critical
    optional: dict[str, Any] | None = None


def tag(digest: str, suffix: str) -> str:
    """Where cosign looks for what is said about an image: `sig` signatures, `att` statements.

    >>> tag("sha256:ab12", "sig")
    'sha256-ab12.sig'
    """
    return f"{digest.replace(':', '-')}.{suffix}"


def claim(repository: str, digest: str) -> bytes:
    """That the image of that digest is ours and belongs into `repository`: what is signed."""
    critical = _Critical(
        identity=_Identity(docker_reference=repository),
        image=_Image(docker_manifest_digest=digest),
        type=_CLAIM,
    )
    return msgspec.json.encode(_Payload(critical=critical), order="sorted")


def sign(signer: Signer, body: bytes) -> str:
    return base64.b64encode(signer.sign(body)).decode()


def signature_fault(
    keys: Sequence[Verifier], repository: str, digest: str, body: bytes, signature: str
) -> str | None:
    """Why a signed claim does not speak for the image, or None when it does."""
    try:
        signed = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return "its signature can't be read"
    if not any(key.verify(body, signed) for key in keys):
        return "no trusted key signed it"
    try:
        critical = msgspec.json.decode(body, type=_Payload).critical
    except msgspec.MsgspecError:
        return "its signature is of something else"
    if critical.type != _CLAIM:
        return "its signature is of something else"
    if critical.image.docker_manifest_digest != digest:
        return "its signature is another image's"
    if critical.identity.docker_reference != repository:
        return "it was signed for another repository"
    return None


def provenance_fault(
    keys: Sequence[Verifier], repository: str, digest: str, body: bytes
) -> str | None:
    """Why an envelope does not say how the image was made, or None when it does."""
    payload = dsse.unseal(keys, STATEMENT, body)
    if payload is None:
        return "no trusted key signed its provenance as it is"
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except msgspec.MsgspecError:
        return "its provenance can't be read"
    if (statement.type, statement.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        return "its provenance is of another kind"
    algorithm, _, value = digest.partition(":")
    for subject in statement.subject:
        if subject.name == repository and subject.digest.get(algorithm) == value:
            return None
    return "its provenance is another image's"
