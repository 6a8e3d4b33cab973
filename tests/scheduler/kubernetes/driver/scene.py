"""A driver on an API server that only pretends to have a cluster, and what it has there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from services.scheduler.driver import Observed, Phase, Replica, Started, Workload
from services.scheduler.drivers import Kubernetes
from services.scheduler.drivers.kubernetes.driver import KubernetesDriver
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.open import open_kubernetes
from shared.blobs import Blobs
from tests.beds.registry import registry
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import Base, image, workload
from tests.scheduler.kubernetes.fake import Fake, open_fake

WRITES = ("create", "patch", "delete")


class Scene:
    def __init__(self, fake: Fake, work: Workload, folder: Path) -> None:
        self.fake = fake
        self.work = work
        self.folder = folder
        self.driver: KubernetesDriver

    @property
    def replica(self) -> Replica:
        return self.work.replica

    def opened(self, **more: Any) -> AbstractAsyncContextManager[KubernetesDriver]:
        told = {
            "kubeconfig": str(self.fake.kubeconfig),
            "namespace": self.fake.namespace,
            "platform": "ours",
            "target": "eu",
            "doorman_image": "registry.example/doorman@sha256:" + "0" * 64,
            "doorman_key": "k" * 32,
            "drain": 0,
            "network_policies": "unasked",
            **more,
        }
        return open_kubernetes(Kubernetes(**told))

    async def ready(self, work: Workload | None = None) -> Observed:
        work = work or self.work
        assert isinstance(await self.driver.start(work), Started)
        return await self.until(
            lambda seen: seen.phase is Phase.READY and len(seen.addresses) == work.copies,
            work.replica,
        )

    async def until(
        self, wanted: Callable[[Observed], bool], replica: Replica | None = None
    ) -> Observed:
        async with asyncio.timeout(20):
            while True:
                seen = (await self.driver.observe()).get(replica or self.replica)
                if seen is not None and wanted(seen):
                    return seen
                await asyncio.sleep(0.02)

    def writes(self) -> int:
        return sum(n for (verb, _), n in self.fake.server.requests.items() if verb in WRITES)

    def all(self, kind: Kind) -> list[Any]:
        return self.fake.store.find(kind.plural)

    def one(self, kind: Kind) -> Any:
        [found] = self.all(kind)
        return found

    def edit(self, kind: Kind, change: Callable[[Any], None]) -> None:
        found = msgspec.json.decode(msgspec.json.encode(self.one(kind)))
        change(found)
        self.fake.store.update(kind.plural, found)


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    blobs = Blobs.open(f"file:{folder / 'blobs'}")
    digest = await image(blobs, "/bin/true", user="1000:1000")
    async with registry(folder / "registry") as address, open_fake(folder) as fake:
        repository = await Bed(None, address, Base()).push(blobs, digest)
        made = Scene(fake, workload(digest, repository=repository), folder)
        async with made.opened() as made.driver:
            yield made
