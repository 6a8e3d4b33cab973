"""Whether a cluster runs what the platform's tables say, and nothing more."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import msgspec

from tests.beds.kubernetes.bed import Failed
from tests.cluster.api import Api, Refused
from tests.cluster.sight import Job, Sight, moved, requests, thing, unsettled

MANAGED: Final = "app.kubernetes.io/managed-by=slipway"

KINDS: Final = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Autoscaler": "/apis/autoscaling/v1/namespaces/{}/horizontalpodautoscalers",
    "Pod": "/api/v1/namespaces/{}/pods",
}
WRITTEN: Final = (
    *("configmaps", "secrets", "services", "deployments", "horizontalpodautoscalers"),
    "networkpolicies",
)
"""What the platform writes, and nobody else as far as no subresource is meant."""

JOBS: Final = """
SELECT id, attempt, state::text, granted, copies, addresses, reason,
       (SELECT count(*) FROM allocations
         WHERE allocations.job = jobs.id AND released_at IS NULL) AS gpus
  FROM jobs
"""


Rows = Callable[[], Awaitable[list[dict[str, Any]]]]
"""What JOBS says now."""


@dataclass(frozen=True)
class Place:
    """Where to look: a cluster, its workload namespace, and the platform's table."""

    api: Api
    namespace: str
    rows: Rows


def table(url: str) -> Rows:
    """By a connection of its own for each look."""

    async def rows() -> list[dict[str, Any]]:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return [dict(row) for row in await connection.fetch(JOBS)]
        finally:
            await connection.close()

    return rows


async def look(place: Place) -> Sight:
    """The cluster first, then the table: as the scheduler does."""
    paths = [path.format(place.namespace) for path in KINDS.values()]
    lists = await asyncio.gather(*(place.api.items(path, MANAGED) for path in paths))
    things = [
        thing(kind, found) for kind, items in zip(KINDS, lists, strict=True) for found in items
    ]
    jobs = msgspec.convert(await place.rows(), list[Job])
    return Sight(jobs=tuple(jobs), things=tuple(things))


async def settled(place: Place, *, within: float = 60.0) -> tuple[Sight, float]:
    """The first look at which all is as it has to be, and after how many seconds that was.

    Raises AssertionError with what still was wrong at the last one.
    """
    began = time.monotonic()
    wrong: list[str] = ["nothing was seen yet"]
    while time.monotonic() - began < within:
        try:
            sight = await look(place)
            wrong = unsettled(sight)
            if not wrong:
                return sight, time.monotonic() - began
        except (Refused, Failed, OSError, TimeoutError, asyncpg.PostgresError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        await asyncio.sleep(0.5)
    raise AssertionError(f"not settled in {within:.0f} s: " + "; ".join(wrong[:20]))


async def written(place: Place, *, seconds: float = 15.0, windows: int = 4) -> list[str]:
    """What was written while nothing had to be: objects of ours that changed, or else requests that
    change such ones, which Kubernetes counts even when they come to nothing.

    What everybody on the cluster asks for counts, and so does what is written into pods: of a node
    that was out of reach, Kubernetes writes that they are not ready, and kubelet that they are. Of
    those one quiet window will do, longer than the pause between two repairs of something that
    somebody else changes again and again.
    """
    wrong: list[str] = []
    for _ in range(windows):
        before, counted = await look(place), await writes(place.api)
        await asyncio.sleep(seconds)
        after, then = await look(place), await writes(place.api)
        more = then - counted
        asked = [f"{count} times {verb} {what}" for (verb, what), count in more.items()]
        changed = moved(before, after)
        if ours := [each for each in changed if not re.fullmatch(r"Pod \S+ was changed", each)]:
            return ours
        wrong = changed or asked
        if not wrong:
            break
    return wrong


async def writes(api: Api) -> Counter[tuple[str, str]]:
    """Requests that write what the platform writes, since the API server began."""
    return Counter(
        {
            key: count
            for key, count in requests(await api.text("/metrics")).items()
            if key[1] in WRITTEN and key[0] in ("POST", "PUT", "PATCH", "APPLY", "DELETE")
        }
    )
