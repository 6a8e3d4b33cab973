"""Whether a cluster runs what the platform's tables say, and nothing more: a look at both, and what
is wrong with what was seen. What is wrong is told by pure functions over two looks at the most.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

import asyncpg
import msgspec

from tests.cluster.api import Api, Refused

MANAGED: Final = "app.kubernetes.io/managed-by=slipway"
REPLICA: Final = "slipway.dev/replica"
GPU: Final = "nvidia.com/gpu"
WANTED: Final = ("starting", "running")
ENDED: Final = ("stopped", "finished", "failed", "terminated", "purged")

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

_REQUESTS: Final = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.M)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

JOBS: Final = """
SELECT id, attempt, state::text, granted, copies, addresses, reason,
       (SELECT count(*) FROM allocations
         WHERE allocations.job = jobs.id AND released_at IS NULL) AS gpus
  FROM jobs
 WHERE target = $1
"""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    attempt: int
    state: str
    granted: int
    copies: int
    addresses: tuple[str, ...]
    reason: str
    gpus: int  # that it holds, by the table

    @property
    def replica(self) -> str:
        return f"{self.id}-{self.attempt}"


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """An object of ours, or one that Kubernetes made for one of ours."""

    kind: str
    name: str
    uid: str
    version: str
    replica: str
    going: bool = False
    ready: bool = False  # of a pod, or of all pods that a Deployment wants
    copies: int = 0  # that a Deployment wants
    address: str = ""
    gpus: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    jobs: tuple[Job, ...]
    things: tuple[Thing, ...]

    def of(self, kind: str, replica: str) -> list[Thing]:
        return [each for each in self.things if each.kind == kind and each.replica == replica]


async def look(api: Api, namespace: str, database: str, target: str) -> Sight:
    """The cluster first, then the table: as the scheduler does."""
    lists = await asyncio.gather(
        *(api.items(path.format(namespace), MANAGED) for path in KINDS.values())
    )
    things = [
        _thing(kind, found) for kind, items in zip(KINDS, lists, strict=True) for found in items
    ]
    connection = await asyncpg.connect(database, timeout=10)
    try:
        rows = await connection.fetch(JOBS, target)
    finally:
        await connection.close()
    jobs = msgspec.convert([dict(row) for row in rows], list[Job])
    return Sight(jobs=tuple(jobs), things=tuple(things))


def unsettled(sight: Sight) -> list[str]:
    """What is not as it has to be once all is done; empty when there is nothing."""
    return [*_of_jobs(sight), *_leaked(sight), *_gpus(sight)]


def lost(before: Sight, after: Sight, *, spared: Collection[str] = ()) -> list[str]:
    """Deployments and pods that were healthy before and are not there any more, by their uid,
    but for those that the test itself ended (`spared`, names)."""
    there = {each.uid for each in after.things}
    return [
        f"{each} was healthy and is gone"
        for each in before.things
        if each.kind in ("Deployment", "Pod") and each.ready and not each.going
        if each.uid not in there and each.name not in spared
    ]


def moved(before: Sight, after: Sight) -> list[str]:
    """What somebody wrote between two looks."""
    then = {each.uid: each for each in before.things}
    now = {each.uid: each for each in after.things}
    return [
        *(f"{now[uid]} was made" for uid in now.keys() - then.keys()),
        *(f"{then[uid]} was deleted" for uid in then.keys() - now.keys()),
        *(
            f"{now[uid]} was changed"
            for uid in now.keys() & then.keys()
            if now[uid].version != then[uid].version
        ),
    ]


async def settled(
    api: Api, namespace: str, database: str, target: str, *, within: float = 60.0
) -> tuple[Sight, float]:
    """The first look at which all is as it has to be, and after how many seconds that was.

    Raises AssertionError with what still was wrong at the last one.
    """
    began = time.monotonic()
    wrong: list[str] = ["nothing was seen yet"]
    while time.monotonic() - began < within:
        try:
            sight = await look(api, namespace, database, target)
            wrong = unsettled(sight)
            if not wrong:
                return sight, time.monotonic() - began
        except (Refused, OSError, TimeoutError, asyncpg.PostgresError) as error:
            wrong = [f"{type(error).__name__}: {error}"]
        await asyncio.sleep(0.5)
    raise AssertionError(f"not settled in {within:.0f} s: " + "; ".join(wrong[:20]))


async def written(
    api: Api, namespace: str, database: str, target: str, *, seconds: float = 15.0
) -> list[str]:
    """What was written while nothing had to be: objects that changed, and requests that change
    some, which Kubernetes counts even when they come to nothing."""
    before, asked = await look(api, namespace, database, target), await writes(api)
    await asyncio.sleep(seconds)
    after, then = await look(api, namespace, database, target), await writes(api)
    return moved(before, after) + [
        f"{count} times {verb} {resource}" for (verb, resource), count in (then - asked).items()
    ]


async def writes(api: Api) -> Counter[tuple[str, str]]:
    """Requests that write what the platform writes, since the API server began."""
    return Counter(
        {
            key: count
            for key, count in requests(await api.text("/metrics")).items()
            if key[1] in WRITTEN and key[0] in ("POST", "PUT", "PATCH", "APPLY", "DELETE")
        }
    )


def requests(metrics: str) -> Counter[tuple[str, str]]:
    """(verb, resource) -> requests that an API server has answered, those to subresources left out.

    >>> requests('apiserver_request_total{code="200",resource="pods",verb="PATCH"} 7')
    Counter({('PATCH', 'pods'): 7})
    """
    found: Counter[tuple[str, str]] = Counter()
    for labels, count in _REQUESTS.findall(metrics):
        said = dict(_LABEL.findall(labels))
        if not said.get("subresource"):
            found[said.get("verb", ""), said.get("resource", "")] += int(float(count))
    return found


def _of_jobs(sight: Sight) -> Iterator[str]:
    for job in sight.jobs:
        if job.state in ENDED or (job.state == "queued" and job.reason):
            continue
        if job.state != "running":
            yield f"{job.replica} is {job.state} {job.reason}".rstrip()
            continue
        deployments, pods = sight.of("Deployment", job.replica), sight.of("Pod", job.replica)
        if [(each.copies, each.ready, each.going) for each in deployments] != [
            (job.granted, True, False)
        ]:
            yield f"{job.replica} has not one healthy Deployment of {job.granted}: {deployments}"
        if len(pods) != job.granted or not all(each.ready for each in pods):
            yield f"{job.replica} has {len(pods)} pods of {job.granted}, or not all are ready"
        hosts = sorted(re.sub(r"^.*//\[?|\]?:\d+$", "", address) for address in job.addresses)
        if hosts != sorted(each.address for each in pods):
            yield f"{job.replica} has addresses {hosts}, its pods others"


def _leaked(sight: Sight) -> Iterator[str]:
    wanted = {job.replica for job in sight.jobs if job.state in WANTED}
    for each in sight.things:
        if each.replica not in wanted and (each.kind != "ReplicaSet" or not each.going):
            yield f"{each} belongs to no wanted replica"


def _gpus(sight: Sight) -> Iterator[str]:
    held: Counter[str] = Counter()
    for each in sight.things:
        if each.kind == "Pod":
            held[each.replica] += each.gpus
    for job in sight.jobs:
        if job.gpus != held[job.replica]:
            yield f"{job.replica} holds {job.gpus} GPUs by the table, {held[job.replica]} in pods"


def _thing(kind: str, found: dict[str, Any]) -> Thing:
    meta, spec, status = found["metadata"], found.get("spec", {}), found.get("status", {})
    copies = spec.get("replicas", 1) if kind == "Deployment" else 0
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    ready = conditions.get("Ready") == "True"
    if kind == "Deployment":
        ready = copies == status.get("readyReplicas", 0) == status.get("updatedReplicas", 0)
    containers = spec.get("containers") or () if kind == "Pod" else ()
    return Thing(
        kind=kind,
        name=meta["name"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        replica=(meta.get("labels") or {}).get(REPLICA, ""),
        going="deletionTimestamp" in meta,
        ready=ready,
        copies=copies,
        address=status.get("podIP", ""),
        gpus=sum(int(c.get("resources", {}).get("limits", {}).get(GPU, 0)) for c in containers),
    )
