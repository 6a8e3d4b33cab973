"""What a driver says of a replica, by the objects that it is made of. Pure.

Addresses are those of pods, not of a Service or its endpoints: see docs/adr/0014.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from services.scheduler.driver import Observed, Phase
from services.scheduler.drivers.kubernetes import batch, reasons
from services.scheduler.drivers.kubernetes.copy import Copy, copy
from services.scheduler.drivers.kubernetes.objects import (
    Deployment,
    Job,
    Keeper,
    Node,
    Pod,
    condition,
)

_RANK: Final = (Phase.READY, Phase.BROKEN, Phase.CRASHING, Phase.STARTING)
"""A replica is as its best copy is, or as the one that says most of what is wrong."""


def observed(
    deployment: Keeper,
    pods: Sequence[Pod],
    now: datetime,
    nodes: Mapping[str, Node],
    *,
    drift: str = "",
    autoscaled: bool = False,
) -> Observed:
    """Of a replica whose Deployment, or Job, exists and is to stay."""
    if isinstance(deployment, Job):
        return batch.observed(deployment, pods, now, nodes, drift=drift)
    alive = sorted((pod for pod in pods if not pod.over), key=_name)
    copies = [copy(pod, now, nodes) for pod in alive]
    staying = [one for pod, one in zip(alive, copies, strict=True) if not pod.leaving]
    phase, reason = _whole(staying or copies)
    if phase is Phase.STARTING and not reason:
        phase, reason = _without(deployment, pods)
    ends = [one for one in copies if one.exit_code is not None]
    last = max(ends, key=lambda one: one.at, default=None)
    addresses = tuple(sorted(one.address for one in staying if one.address is not None))
    return Observed(
        phase=phase,
        addresses=addresses,
        copies=len(alive),
        wanted=None if autoscaled else deployment.wanted,
        drift=drift,
        restarts=sum(one.restarts for one in copies),
        failures=max((one.failures for one in copies if one.phase is phase), default=0),
        exit_code=last.exit_code if last else None,
        reason=reason,
        since=max((one.since for one in copies if one.since is not None), default=None),
    )


def gone(pods: Sequence[Pod], reason: str) -> Observed:
    """Of a replica that has no Deployment, or none that stays: what is left of it shall go, too."""
    left = sum(not pod.over for pod in pods)
    return Observed(phase=Phase.GONE, copies=left, reason=reason)


def _whole(copies: Iterable[Copy]) -> tuple[Phase, str]:
    best = min(
        copies, key=lambda one: (_RANK.index(one.phase), not one.reason), default=None
    ) or Copy(phase=Phase.STARTING)
    return best.phase, best.reason


def _without(deployment: Deployment, pods: Sequence[Pod]) -> tuple[Phase, str]:
    """What is told of a replica none of whose copies says anything of itself."""
    if deployment.wanted == 0:
        return Phase.STARTING, "it is told to run no copies"
    failure = condition(deployment.status, "ReplicaFailure")
    if failure is not None and failure.status == "True":
        return reasons.of_refused_pods(failure)
    failed = [pod for pod in pods if pod.failed]
    if failed:
        last = max(failed, key=lambda pod: (pod.metadata.creation_timestamp or "", _name(pod)))
        assert last.status is not None
        return Phase.STARTING, f"a copy of it {reasons.of_failed(last.status)}"
    return Phase.STARTING, ""


def _name(pod: Pod) -> str:
    return pod.metadata.name
