"""What is said about one image: its artifacts, and the record that is kept with its version."""

from __future__ import annotations

import msgspec

from services.builder.artifacts import Artifact, Made, artifacts_of, bill
from services.builder.base.look import Look
from services.builder.python.packages import Installed
from services.builder.recipe import Host
from shared.blobs import digest_of
from shared.endpoint import Definition
from shared.image import BaseRecord, Record
from shared.signing import Signer


class Said(msgspec.Struct, frozen=True, kw_only=True):
    record: Record
    artifacts: tuple[Artifact, ...]


def said(
    definition: Definition,
    endpoint: str,
    *,
    image: str,
    repository: str,
    host: Host,
    base: BaseRecord | None,
    look: Look | None,
    packages: Installed,
    changed: Look,
    signer: Signer | None,
) -> Said:
    """`look` is what is left of the base, `changed` what was installed in it.

    The same inputs say the same, signatures included.
    """
    parts = {"python": Look(distributions=packages.distributions), "install": changed}
    if look is not None:
        parts["base"] = look
    made = Made(
        repository=repository,
        image=image,
        definition=definition,
        endpoint=endpoint,
        platform=host.platform,
        python=host.python,
        base=base,
        lock=packages.lock,
    )
    artifacts = tuple(artifacts_of(made, bill(parts, base), signer))
    kept = {artifact.artifact_type: digest_of(artifact.body) for artifact in artifacts}
    record = Record(python=host.python, base=base, lock=packages.lock, artifacts=kept)
    return Said(record=record, artifacts=artifacts)
