"""A look at a cluster and at the platform's table, and all that is wrong with what was seen. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

REPLICA: Final = "slipway.dev/replica"
GPU: Final = "nvidia.com/gpu"
WANTED: Final = ("starting", "running")
ENDED: Final = ("stopped", "finished", "failed", "terminated", "purged")

_REQUESTS: Final = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.M)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


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
    """What somebody wrote between two looks. That what was going is gone was written before."""
    then = {each.uid: each for each in before.things}
    now = {each.uid: each for each in after.things}
    return [
        *(f"{now[uid]} was made" for uid in now.keys() - then.keys()),
        *(f"{then[uid]} was deleted" for uid in then.keys() - now.keys() if not then[uid].going),
        *(
            f"{now[uid]} was changed"
            for uid in now.keys() & then.keys()
            if now[uid].version != then[uid].version
        ),
    ]


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
        deployments = sight.of("Deployment", job.replica)
        # one that was told to go has ended, or will; kubelet may keep its name for a minute more
        pods = [pod for pod in sight.of("Pod", job.replica) if not pod.going]
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


def thing(kind: str, found: dict[str, Any]) -> Thing:
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
