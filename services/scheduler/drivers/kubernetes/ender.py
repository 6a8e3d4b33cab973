"""Ends what a replica consists of: Deployment or Job, pods, and when no pod is left, the anchor.

Only what the cluster itself says is believed: GPUs are free when a list that was asked for just now
has no pod of the replica any more. A pod on a machine that does not answer is never given up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Final

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.errors import Missing
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.live import Live, is_ours
from services.scheduler.drivers.kubernetes.manifests import names
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from services.scheduler.drivers.kubernetes.objects import Pod, ReplicaSet
from services.scheduler.drivers.kubernetes.pictures import Pictures
from shared.errors import Transient

PATIENCE: Final = 60.0  # seconds beyond its grace that a pod may take to go
LOOK: Final = 5.0  # seconds after which we look again though nothing was heard
LATE: Final = 1.0  # seconds in which a controller hears that what it works on is gone


class Ender:
    def __init__(
        self, cluster: Cluster, live: Live, pictures: Pictures, settings: Settings
    ) -> None:
        self._cluster = cluster
        self._live = live
        self._pictures = pictures
        self._settings = settings

    async def end(self, replica: Replica, grace: float) -> None:
        """Returns when nothing of it runs. Raises Transient when that takes too long."""
        deployment = await self._live.keeper(replica)
        await self.drop(kinds.DEPLOYMENTS, replica)
        await self.drop(kinds.JOBS, replica)
        settled = await self._end_sets(replica) and (deployment is None or deployment.settled)
        await self._end_pods(replica, max(1, math.ceil(grace)))
        if not settled:  # its controllers may not know yet that it ended, and just make pods
            await asyncio.sleep(LATE)
            await self._end_sets(replica)
            await self._end_pods(replica, max(1, math.ceil(grace)))

    async def forget(self, replica: Replica) -> None:
        """Let go what is left of it, of which nothing runs."""
        if not await self.drop(kinds.CONFIGMAPS, replica):
            for kind in (kinds.SECRETS, kinds.SERVICES, kinds.AUTOSCALERS_V1):
                await self.drop(kind, replica)  # else the garbage collector does it
        deadline = time.monotonic() + LOOK
        while self._pictures.of(replica).anchor and time.monotonic() < deadline:
            await self._pictures.news(deadline - time.monotonic())

    async def _end_sets(self, replica: Replica) -> bool:
        """Else they would make new pods for those that go. Whether each had all its pods."""
        found = await self._live.list(kinds.REPLICASETS, ReplicaSet, replica)
        for each in found:
            await self._cluster.delete(kinds.REPLICASETS, each.metadata.name, uid=each.metadata.uid)
        return all(each.settled for each in found)

    async def _end_pods(self, replica: Replica, grace: int) -> None:
        # a server hears of its end after the drain, whoever began it, and has its grace from then
        most = grace + self._settings.drain
        told: set[str] = set()
        deadline = time.monotonic() + most + PATIENCE
        while pods := await self._live.list(kinds.PODS, Pod, replica):
            for pod in pods:
                if pod.metadata.uid not in told:
                    told.add(pod.metadata.uid)
                    await self._delete(pod, 0 if pod.over else most)
            if time.monotonic() >= deadline:
                raise Transient(_stuck(replica, pods))
            await self._until_fewer(replica, len(pods), deadline)

    async def _until_fewer(self, replica: Replica, many: int, deadline: float) -> None:
        """Or until it is time to look again."""
        deadline = min(deadline, time.monotonic() + LOOK)
        while (left := deadline - time.monotonic()) > 0:
            await self._pictures.news(left)
            if len(self._pictures.of(replica).pods) < many:
                return

    async def _delete(self, pod: Pod, grace: int) -> None:
        meta = pod.metadata
        await self._cluster.delete(kinds.PODS, meta.name, uid=meta.uid, grace=grace)

    async def drop(self, kind: Kind, replica: Replica) -> bool:
        """If it is ours, and still the one that we saw; whether it was there."""
        name = names.name(replica)
        try:
            found = await self._cluster.get(kind, name)
        except Missing:
            return False
        if is_ours(found, self._settings.platform):
            await self._cluster.delete(kind, name, uid=found["metadata"]["uid"])
        return True


def _stuck(replica: Replica, pods: Sequence[Pod]) -> str:
    named = ", ".join(
        f"{pod.metadata.name} on the machine {pod.node or 'none'}" for pod in pods[:3]
    )
    return f"{replica} does not end: {named}; is the machine there? Its GPUs stay held until it is"
