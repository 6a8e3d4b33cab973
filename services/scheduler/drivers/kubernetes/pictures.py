"""All that we watch of a cluster: our own objects in our namespace, and its machines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import kinds, view
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.informer import Informer
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import names
from services.scheduler.drivers.kubernetes.objects import (
    Deployment,
    Job,
    Keeper,
    Node,
    Part,
    Pod,
)
from services.scheduler.drivers.kubernetes.picture import Change
from shared.errors import Transient

FRESH: Final = 60.0  # seconds that a picture may be old: twice as long as a watch is silent


class Pictures:
    """Filled by `watching`."""

    def __init__(
        self, cluster: Cluster, platform: str, autoscalers: Kind, changed: asyncio.Event
    ) -> None:
        """`changed` is set whenever something of ours has."""
        self._all = changed
        self._next = asyncio.Event()
        self._held: Mapping[Replica, view.Held] | None = None  # until something changes
        ours = f"{names.PLATFORM}={names.label(platform)},{names.REPLICA}"
        heard: dict[str, Any] = {"selector": ours, "changed": self._heard}
        self.anchors = Informer(cluster, kinds.CONFIGMAPS, Part, **heard)
        self.deployments = Informer(cluster, kinds.DEPLOYMENTS, Deployment, **heard)
        self.jobs = Informer(cluster, kinds.JOBS, Job, **heard)
        self.pods = Informer(cluster, kinds.PODS, Pod, **heard)
        self.others = {
            kind.name: Informer(cluster, kind, Part, **heard)
            for kind in (kinds.SECRETS, kinds.SERVICES, autoscalers)
        }
        self.nodes = Informer(cluster, kinds.NODES, Node)
        self.everyones = Informer(
            cluster,
            kinds.PODS,
            Pod,
            fields="status.phase!=Succeeded,status.phase!=Failed",
            everywhere=True,
        )

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        informers: list[Informer[Any]] = [*self._ours, self.nodes, self.everyones]
        tasks = [asyncio.create_task(one.run()) for one in informers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def held(self) -> Mapping[Replica, view.Held]:
        """All that there is of each replica. Raises Transient when that is not known."""
        self._known(self._ours)
        if self._held is None:
            keepers: list[Keeper] = [
                *self.deployments.objects.values(),
                *self.jobs.objects.values(),
            ]
            self._held = view.gathered(
                self.anchors.objects.values(),
                keepers,
                {kind: one.objects.values() for kind, one in self.others.items()},
                self.pods.objects.values(),
            )
        return self._held

    def of(self, replica: Replica) -> view.Held:
        """What is known of one replica, perhaps nothing."""
        return self.held().get(replica, view.Held())

    def machines(self) -> Mapping[str, Node]:
        """As far as they are known."""
        return {node.metadata.name: node for node in self.nodes.objects.values()}

    def gpus(self) -> tuple[Iterable[Node], Iterable[Pod]]:
        """The machines, and the pods of everybody. Raises Transient when they are not known."""
        self._known([self.nodes, self.everyones])
        return self.nodes.objects.values(), self.everyones.objects.values()

    async def synced(self, seconds: float) -> None:
        """Returns when all of it has been complete once, or the time is over."""
        waiting = [asyncio.create_task(one.synced.wait()) for one in [*self._ours, self.nodes]]
        _, late = await asyncio.wait(waiting, timeout=seconds)
        for task in late:
            task.cancel()

    async def news(self, seconds: float) -> None:
        """Returns when something of ours has changed, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._next.wait()

    @property
    def _ours(self) -> list[Informer[Any]]:
        return [self.anchors, self.deployments, self.jobs, self.pods, *self.others.values()]

    def _heard(self, _: Change[Any]) -> None:
        self._held = None
        self._all.set()
        self._next.set()
        self._next = asyncio.Event()

    def _known(self, informers: Iterable[Informer[Any]]) -> None:
        for one in informers:
            if not one.fresh(FRESH):
                why = one.trouble or "it has not answered yet"
                raise Transient(f"the cluster is out of sight: {why}")
