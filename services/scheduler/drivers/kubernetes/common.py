"""What is not of one replica alone: a project's policy, and logins for pulling images. It is there
before a replica is made that needs it, and goes when no replica has needed it for long.

Only who acts sweeps. One who was paused over all of that time could still make a replica whose
policy is gone: where the namespace as a whole is closed, as the chart closes it, nobody reaches it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import Manifest, names
from services.scheduler.drivers.kubernetes.metadata import Seen
from services.scheduler.drivers.kubernetes.objects import Keeper, Pod
from services.scheduler.drivers.kubernetes.view import Held

ENSURED: Final = 300.0  # seconds that we trust it to be there
UNUSED: Final = 600.0  # seconds that nobody may have needed it before it goes
KEPT: Final = 3  # failed pods of a replica, for people to look at


class Common:
    def __init__(self, cluster: Cluster, platform: str) -> None:
        self._cluster = cluster
        self._ours = f"{names.PLATFORM}={names.label(platform)}"
        self._ensured: dict[str, tuple[float, Any]] = {}
        self._users: Counter[str] = Counter()
        self._needed: dict[str, float] = {}  # when last, as far as we saw
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def needed(self, manifests: Sequence[Manifest]) -> AsyncIterator[None]:
        """All of them are there, and stay while this lasts."""
        called = [manifest["metadata"]["name"] for manifest in manifests]
        self._users.update(called)
        try:
            for name, manifest in zip(called, manifests, strict=True):
                async with self._lock(name):
                    await self._ensure(name, manifest)
            yield
        finally:
            self._users.subtract(called)
            self._needed |= dict.fromkeys(called, time.monotonic())

    async def sweep(self, replicas: Collection[Held]) -> None:
        """Let go what nobody needs. `replicas` are all that the pictures show."""
        anchors = await self._all(kinds.CONFIGMAPS, f"{self._ours},{names.REPLICA}")
        projects = {_project(anchor) for anchor in anchors}
        for policy in await self._all(kinds.NETWORKPOLICIES, f"{self._ours},{names.PROJECT}"):
            await self._let_go(kinds.NETWORKPOLICIES, policy, _project(policy) in projects)
        logins = {name for held in replicas for name in _logins(held.deployment)}
        selector = f"{self._ours},!{names.REPLICA}"
        for secret in await self._all(kinds.SECRETS, selector):
            await self._let_go(kinds.SECRETS, secret, secret.metadata.name in logins)
        for pod in surplus(replicas):
            await self._cluster.delete(kinds.PODS, pod.metadata.name, uid=pod.metadata.uid)

    async def _let_go(self, kind: Kind, one: Seen, used: bool) -> None:
        name, now = one.metadata.name, time.monotonic()
        since = now if used else self._needed.get(name, now)
        self._needed[name] = since
        if used or now - since < UNUSED:
            return
        async with self._lock(name):
            if self._users[name] == 0 and self._needed[name] == since:
                self._ensured.pop(name, None)
                await self._cluster.delete(kind, name, uid=one.metadata.uid)
                del self._needed[name]

    async def _ensure(self, name: str, manifest: Manifest) -> None:
        until, known = self._ensured.get(name, (0.0, None))
        if known != manifest or until <= time.monotonic():
            await self._cluster.apply(manifest)
            self._ensured[name] = time.monotonic() + ENSURED, manifest

    async def _all(self, kind: Kind, selector: str) -> Sequence[Seen]:
        found: list[Seen] = []
        token = ""
        while True:
            page = await self._cluster.list(kind, Seen, selector=selector, token=token)
            found += page.items
            if not (token := page.token):
                return found

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def surplus(replicas: Iterable[Held]) -> list[Pod]:
    """Failed pods that are not the last ones of their replica: a cluster itself keeps thousands."""
    return [
        pod
        for held in replicas
        for pod in sorted(
            (pod for pod in held.pods if pod.failed),
            key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name),
        )[:-KEPT]
    ]


def _project(one: Seen) -> tuple[str, str]:
    labels = one.metadata.labels or {}
    return labels.get(names.OWNER, ""), labels.get(names.PROJECT, "")


def _logins(deployment: Keeper | None) -> list[str]:
    """The Secrets with which its pods are pulled."""
    spec: Any = deployment.spec if deployment is not None else None
    for name in ("template", "spec"):
        spec = (spec or {}).get(name)
    return [str(each.get("name")) for each in (spec or {}).get("imagePullSecrets") or ()]
