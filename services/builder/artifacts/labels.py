"""What an image says about itself: labels of its config, annotations of its manifest.

Only what is true of every build of the same inputs is said here, since it is part of the digest.
Which commit the code came from is said in the provenance; to which version an image belongs, the
platform's own records say.
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared import contract as contracts
from shared.endpoint import (
    Command,
    Endpoint,
    Format,
    Gpus,
    Model,
    Readiness,
    Route,
    Routes,
    Wsgi,
)
from shared.image import BASE_NAME, BaseRecord

BASE_DIGEST: Final = "org.opencontainers.image.base.digest"
TITLE: Final = "org.opencontainers.image.title"
DESCRIPTION: Final = "org.opencontainers.image.description"


class Contract(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to run and to call an endpoint. What its owner set in its environment is not in here."""

    name: str
    format: Format
    entry: str
    port: int
    readiness: Readiness
    routes: tuple[Route, ...] = ()
    files: tuple[str, ...] = ()  # names of those that come with a version
    gpus: Gpus | None = None
    model: contracts.Contract | None = None  # what it takes and gives


def contract(endpoint: Endpoint) -> Contract:
    return Contract(
        name=endpoint.name,
        format=endpoint.format,
        entry=_entry(endpoint),
        port=endpoint.port,
        readiness=endpoint.readiness,
        routes=endpoint.entry.routes if isinstance(endpoint.entry, Routes) else (),
        files=tuple(file.name for file in endpoint.files),
        gpus=endpoint.gpus if endpoint.gpus.count else None,
        model=endpoint.entry.contract if isinstance(endpoint.entry, Model) else None,
    )


def _entry(endpoint: Endpoint) -> str:
    match endpoint.entry:
        case Command():
            return "command"
        case Wsgi():
            return "wsgi"
        case Routes():
            return "routes"
        case Model():
            return "model"


def config_labels(endpoint: Endpoint, base: BaseRecord | None = None) -> dict[str, str]:
    """For the image's config. None of the base's is inherited: they speak of the base."""
    own = {
        "dev.slipway.endpoint": endpoint.name,
        "dev.slipway.format": endpoint.format,
        "dev.slipway.contract": msgspec.json.encode(contract(endpoint), order="sorted").decode(),
    }
    return dict(sorted((own | manifest_annotations(endpoint, base)).items()))


def manifest_annotations(endpoint: Endpoint, base: BaseRecord | None = None) -> dict[str, str]:
    """For the image's manifest."""
    found = {TITLE: endpoint.name}
    if endpoint.description:
        found[DESCRIPTION] = endpoint.description
    if base is not None:
        found[BASE_NAME] = base.name
        _, at, digest = base.reference.rpartition("@")
        if at:
            found[BASE_DIGEST] = digest
    return found
