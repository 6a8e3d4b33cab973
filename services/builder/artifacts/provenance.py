"""How an image was made: an in-toto statement with SLSA's provenance (https://slsa.dev/provenance).

It names every input by its digest and holds no time and no name of a machine, so building again
says the same again. Values of the owner's environment are secrets and are left out, and so are
credentials in addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from services.builder.python.reason import masked
from shared.attestation import PREDICATE_TYPE, SBOM, Statement, Subject
from shared.endpoint import Definition, Endpoint
from shared.image import BaseRecord

BUILD_TYPE: Final = "https://slipway.dev/build/endpoint/v1"
BUILDER: Final = "https://slipway.dev/builder/v1"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What one image was made from. Digests are `sha256:…`."""

    repository: str  # `registry/name` that it is pushed to; "": it stays with the platform
    image: str  # its manifest's digest
    definition: Definition
    endpoint: str
    platform: str = ""  # of the Python that runs the code: linux-x86_64
    python: str = ""  # its version
    base: BaseRecord | None = None
    lock: str = ""  # digest
    sbom: str = ""  # digest
    builder: str = BUILDER


def statement(made: Made) -> bytes:
    """The document that is signed."""
    endpoint = made.definition.endpoint(made.endpoint)
    said = Statement(
        subject=(Subject(name=made.repository, digest=_digest(made.image)),),
        predicate_type=PREDICATE_TYPE,
        predicate={
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"endpoint": described(endpoint)},
                "internalParameters": _filled(python=made.python, platform=made.platform),
                "resolvedDependencies": list(_materials(made)),
            },
            "runDetails": {
                "builder": {"id": made.builder},
                **({"byproducts": [_sbom(made.sbom)]} if made.sbom else {}),
            },
        },
    )
    return msgspec.json.encode(said, order="sorted")


def described(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as it may be shown to anybody who can pull its image."""
    found = _masked(msgspec.to_builtins(endpoint))
    assert isinstance(found, dict)
    if endpoint.environment:
        found["environment"] = sorted(endpoint.environment)  # names alone
    return found


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    return value


def _materials(made: Made) -> Iterator[dict[str, Any]]:
    definition = made.definition
    yield {"name": "source", "digest": _digest(definition.source)}
    if definition.origin is not None:
        url = masked(definition.origin.url)
        yield {
            "name": "repository",
            "uri": f"git+{url}" + (f"@{definition.origin.ref}" if definition.origin.ref else ""),
            "digest": {"gitCommit": definition.origin.commit},
        }
    if made.base is not None:
        _, at, digest = made.base.reference.rpartition("@")
        yield {
            "name": "base",
            "uri": f"docker://{made.base.reference}",
            **({"digest": _digest(digest)} if at else {}),
            "annotations": {"asked": made.base.name},
        }
    if definition.training is not None and definition.training.digest:
        yield {"name": "training", "digest": _digest(definition.training.digest)}
    if made.lock:
        yield {"name": "lock", "digest": _digest(made.lock)}
    for name, digest in sorted(definition.files.get(made.endpoint, {}).items()):
        yield {"name": f"file/{name}", "digest": _digest(digest)}


def _sbom(digest: str) -> dict[str, Any]:
    return {"name": "sbom", "digest": _digest(digest), "mediaType": SBOM}


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _filled(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}
