"""What the demo shows of a replica in a container: its base, its image, and what runs in it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import aiohttp

from shared.image import BASE_NAME, MANIFEST_TYPE
from slipway import AsyncClient
from tests.beds.ground import Ground

BASE_DIGEST = "org.opencontainers.image.base.digest"
SYSTEM = '. /etc/os-release; echo "$PRETTY_NAME with $(python3 -V)"'


@dataclass(frozen=True)
class Found:
    base: str  # as its owner wrote it, and what that was
    image: str  # by digest, where it was pushed to
    system: str  # as its container says


class Images:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def found(self, slipway: AsyncClient, job_id: str) -> Found:
        """Of a running job, as the engine and its container tell."""
        job = await slipway.job(job_id)
        return await asyncio.to_thread(self._found, f"{job.id}-{job.attempt}")

    async def pushed(self, http: aiohttp.ClientSession, found: Found) -> bool:
        """Whether the registry answers with that very image."""
        name, digest = found.image.removeprefix(f"{self._ground.registry}/").split("@")
        url = f"http://{self._ground.registry}/v2/{name}/manifests/{digest}"
        async with http.head(url, headers={"Accept": MANIFEST_TYPE}) as answer:
            return (answer.status, answer.headers.get("Docker-Content-Digest")) == (200, digest)

    def _found(self, replica: str) -> Found:
        run = self._ground.engine.run
        container = run("ps", "--quiet", "--filter", f"label=dev.slipway.replica={replica}")
        [told] = json.loads(run("inspect", container))
        labels = told["Config"]["Labels"]
        return Found(
            base=f"{labels[BASE_NAME]} is {labels[BASE_DIGEST]}",
            image=told["ImageName"],
            system=run("exec", container, "sh", "-c", SYSTEM),
        )
