"""What a replica is made of, as the cluster itself says at this moment: for what must not be told
by pictures, which may be old, or lack what somebody took labels from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from services.scheduler.driver import Replica
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.errors import Missing
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import applied, names
from services.scheduler.drivers.kubernetes.metadata import Metadata
from services.scheduler.drivers.kubernetes.objects import (
    Deployment,
    Job,
    Keeper,
    Part,
    Pod,
    ReplicaSet,
)
from services.scheduler.drivers.kubernetes.view import Held
from shared.errors import Transient

T = TypeVar("T")
P = TypeVar("P", bound=Part)


class Live:
    def __init__(self, cluster: Cluster, platform: str) -> None:
        self._cluster = cluster
        self._platform = platform

    async def held(self, replica: Replica) -> tuple[Held, int]:
        """All that matters of it, and how many copies there are or will be for what was said last.

        Raises Transient while controllers still have to act on that.
        """
        deployment = await self.keeper(replica)
        anchor = await self.part(kinds.CONFIGMAPS, Part, replica)
        sets = await self.list(kinds.REPLICASETS, ReplicaSet, replica)
        if any(not each.settled for each in (deployment, *sets) if each is not None):
            raise Transient(f"the cluster has still to act on what it was told of {replica}")
        # the pods last: each of them was made by one of those
        pods = await self.list(kinds.PODS, Pod, replica)
        alive = sum(not pod.over for pod in pods)
        copies = max(alive, sum(each.wanted for each in sets))
        return Held(anchor=anchor, deployment=deployment, pods=tuple(pods)), copies

    async def keeper(self, replica: Replica) -> Keeper | None:
        """Its Deployment, or the Job of its run."""
        found = await self.part(kinds.DEPLOYMENTS, Deployment, replica)
        return found or await self.part(kinds.JOBS, Job, replica)

    async def part(self, kind: Kind, type: type[P], replica: Replica) -> P | None:
        """One that is ours, with its labels or without, if there is one that stays."""
        try:
            found = await self._cluster.get(kind, names.name(replica))
        except Missing:
            return None
        one = msgspec.convert(found, type)
        stays = not one.metadata.deletion_timestamp
        return one if stays and is_ours(found, self._platform) else None

    async def list(self, kind: Kind, type: type[T], replica: Replica) -> Sequence[T]:
        """All there are now."""
        labels = names.selector(self._platform, replica)
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        found: list[T] = []
        token = ""
        while True:
            page = await self._cluster.list(kind, type, selector=selector, token=token)
            found += page.items
            if not (token := page.token):
                return found


def is_ours(found: Mapping[str, Any], platform: str) -> bool:
    """Whether a platform made it: by its label, or by what it says that it was made with."""
    labels = found["metadata"].get("labels") or {}
    before = applied.applied(found) or {}
    made = (before.get("metadata") or {}).get("labels") or {}
    return names.label(platform) in (labels.get(names.PLATFORM), made.get(names.PLATFORM))


def is_seen(metadata: Metadata, platform: str) -> bool:
    """Whether it has the labels by which pictures have it."""
    labels = metadata.labels or {}
    return labels.get(names.PLATFORM) == names.label(platform) and names.REPLICA in labels
