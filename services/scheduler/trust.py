"""Lets only images start that are ours: signed, and with provenance, by a key that is trusted.

Both must speak for exactly the digest that will run, in exactly the repository that it comes from;
what else hangs on the image does not matter, as anybody may hang it there. What was found good is
remembered, since nothing that it rests on can change.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from services.scheduler.driver import Workload
from services.scheduler.performer import Vet
from shared import attestation
from shared.errors import Invalid, Permanent, Transient
from shared.image import Descriptor
from shared.registry import Credentials, Reference, Registries, parse
from shared.signing import Verifier, read_verifiers

REMEMBERED: Final = 4096  # images
MOST: Final = 16  # artifacts of a kind, and parts of one, that are looked at
LARGEST: Final = 1 << 20  # bytes of one
PATIENCE: Final = 30.0  # seconds for one image

NO_REGISTRY: Final = ("process",)  # targets whose images lie in the blob store alone

Fault = Callable[[Descriptor, bytes], str | None]


def keys(path: str, target: str) -> Sequence[Verifier]:
    """Those in the file that TRUSTED_KEYS names; none for "". Raises Invalid, naming it."""
    if path and target in NO_REGISTRY:
        raise Invalid("TRUSTED_KEYS", f"can't be kept on target {target}, which pulls no images")
    return read_verifiers(Path(path)) if path else ()


@asynccontextmanager
async def vetting(keys: Sequence[Verifier], credentials: Credentials) -> AsyncIterator[Vet | None]:
    """What looks at every image before it starts; nothing does without a key."""
    if not keys:
        yield None
        return
    async with Registries.open(credentials) as registries:
        yield Trust(registries, keys).vet


class Trust:
    def __init__(self, registries: Registries, keys: Sequence[Verifier]) -> None:
        self._registries = registries
        self._keys = keys
        self._good: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def vet(self, workload: Workload) -> str | None:
        """Why the image must not start, or None. Raises Transient when nobody can tell now."""
        return await self.check(workload.repository, workload.image)

    async def check(self, repository: str, digest: str) -> str | None:
        """The same for an image by its digest; `repository` is `registry/name`."""
        if (repository, digest) in self._good:
            self._good.move_to_end((repository, digest))
            return None
        try:
            async with asyncio.timeout(PATIENCE):
                fault = await self._fault(repository, digest)
        except TimeoutError as error:
            raise Transient(f"{repository}: what is said about {digest} takes too long") from error
        if fault is not None:
            return f"image {digest} is not trusted: {fault}"
        self._good[repository, digest] = None
        if len(self._good) > REMEMBERED:
            self._good.popitem(last=False)
        return None

    async def _fault(self, repository: str, digest: str) -> str | None:
        if not repository:
            return "it is in no registry, where it could be signed"
        try:
            place = parse(f"{repository}@{digest}")
            said = await self._registries.referrers(place, digest)
        except (Invalid, Permanent) as error:
            return f"what is said about it can't be read: {error}"

        def signature(part: Descriptor, body: bytes) -> str | None:
            signed = part.annotations.get(attestation.SIGNED, "")
            return attestation.signature_fault(self._keys, repository, digest, body, signed)

        def provenance(_: Descriptor, body: bytes) -> str | None:
            return attestation.provenance_fault(self._keys, repository, digest, body)

        faults = await asyncio.gather(
            self._best(place, said, attestation.SIGNATURE, signature, "it is not signed"),
            self._best(place, said, attestation.PROVENANCE, provenance, "it has no provenance"),
        )
        return next(filter(None, faults), None)

    async def _best(
        self, place: Reference, said: Sequence[Descriptor], kind: str, fault: Fault, missing: str
    ) -> str | None:
        """None as soon as one artifact of the kind is without a fault, else what the last lacks."""
        found: str | None = missing
        for artifact in [each for each in said if each.artifact_type == kind][:MOST]:
            try:
                found = await self._look(place, artifact, fault)
            except Permanent as error:
                found = f"what is said about it can't be read: {error}"
            if found is None:
                return None
        return found

    async def _look(self, place: Reference, artifact: Descriptor, fault: Fault) -> str | None:
        """What the last part of one artifact lacks. Whose `subject` it is need not be looked at:
        what is signed says it."""
        resolved = await self._registries.manifest(place, artifact.digest)
        found: str | None = "what is said about it is empty"
        for part in resolved.manifest.layers[:MOST]:
            found = fault(part, await self._registries.read(place, part, limit=LARGEST))
            if found is None:
                return None
        return found
