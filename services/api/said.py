"""What is said about the image that a job runs: what is in it, and how it was made."""

from __future__ import annotations

from typing import Any

import msgspec

from services.api import jobs, refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.types import NoQuery
from shared import attestation
from shared.database import versions
from shared.ids import VersionId

Document = dict[str, Any]


async def sbom(call: Call[NoQuery, None]) -> Answer:
    """A CycloneDX document."""
    return await _said(call, "bill of materials", attestation.SBOM)


async def provenance(call: Call[NoQuery, None]) -> Answer:
    """An in-toto statement; where the builder has a key, the signed envelope around it."""
    kinds = (attestation.PROVENANCE, attestation.UNSIGNED_PROVENANCE)
    return await _said(call, "provenance", *kinds)


async def _said(call: Call[NoQuery, None], what: str, *kinds: str) -> Answer:
    job, blobs = await jobs.find(call), call.context.blobs
    version = await versions.get(call.database, VersionId(job.version))
    record = version and version.record.get(job.endpoint)
    if not record:
        detail = f"the job is {job.state}"
        raise refused.conflict("not-built", "The job has no image yet", detail)
    found = next((record.artifacts[kind] for kind in kinds if kind in record.artifacts), None)
    if found is None or await blobs.size(found) is None:
        raise refused.missing(what)
    return Answer(msgspec.Raw(await blobs.read(found)))
