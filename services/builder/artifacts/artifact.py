"""Artifacts as OCI manifests with a `subject`, which a registry lists as the image's referrers.

Nothing here reads or writes; whoever builds keeps and pushes what comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from services.builder.artifacts import provenance
from services.builder.artifacts.provenance import Made
from services.builder.python.reason import masked
from shared import attestation, dsse, image
from shared.blobs import digest_of
from shared.endpoint import Origin
from shared.signing import Signer

EMPTY: Final = b"{}"
EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"

SOURCE: Final = "org.opencontainers.image.source"
REVISION: Final = "org.opencontainers.image.revision"


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    artifact_type: str
    media_type: str  # of the body
    body: bytes
    annotations: dict[str, str] = {}  # of the manifest
    content: dict[str, str] = {}  # annotations of the body's descriptor
    tag: str = ""  # under which cosign looks for it; "": it is pushed by digest alone


def artifacts_of(made: Made, bill: bytes, signer: Signer | None) -> Sequence[Artifact]:
    """All that is said about one image. Without a key nothing is signed."""
    parts = [Artifact(artifact_type=attestation.SBOM, media_type=attestation.SBOM, body=bill)]
    named = msgspec.structs.replace(made, sbom=digest_of(bill))
    statement, origin = provenance.statement(named), _origin(made.definition.origin)
    if signer is None:
        unsigned = Artifact(
            artifact_type=attestation.UNSIGNED_PROVENANCE,
            media_type=attestation.STATEMENT,
            body=statement,
            annotations=origin,
        )
        return [*parts, unsigned]
    return [
        *parts,
        Artifact(
            artifact_type=attestation.PROVENANCE,
            media_type=attestation.ENVELOPE,
            body=dsse.seal(signer, attestation.STATEMENT, statement),
            annotations=origin,
            # cosign wants the first to be there, the envelope has the signature
            content={attestation.SIGNED: "", "predicateType": attestation.PREDICATE_TYPE},
            tag=attestation.tag(made.image, "att"),
        ),
        _signature(made, signer),
    ]


def _signature(made: Made, signer: Signer) -> Artifact:
    claim = attestation.claim(made.repository, made.image)
    return Artifact(
        artifact_type=attestation.SIGNATURE,
        media_type=attestation.SIMPLE_SIGNING,
        body=claim,
        content={attestation.SIGNED: attestation.sign(signer, claim)},
        tag=attestation.tag(made.image, "sig"),
    )


def _origin(origin: Origin | None) -> dict[str, str]:
    if origin is None:
        return {}
    return {SOURCE: masked(origin.url), REVISION: origin.commit}


def manifest_of(artifact: Artifact, subject: image.Descriptor) -> tuple[bytes, bytes]:
    """The config blob, which is the same for all, and the manifest."""
    config = image.Descriptor(media_type=EMPTY_TYPE, digest=digest_of(EMPTY), size=len(EMPTY))
    body = image.Descriptor(
        media_type=artifact.media_type,
        digest=digest_of(artifact.body),
        size=len(artifact.body),
        annotations=artifact.content,
    )
    about = image.Descriptor(
        media_type=subject.media_type, digest=subject.digest, size=subject.size
    )
    manifest = image.Manifest(
        schema_version=2,
        media_type=image.MANIFEST_TYPE,
        artifact_type=artifact.artifact_type,
        config=config,
        layers=(body,),
        annotations=artifact.annotations,
        subject=about,
    )
    return EMPTY, msgspec.json.encode(manifest, order="sorted")
