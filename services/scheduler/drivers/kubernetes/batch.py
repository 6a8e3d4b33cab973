"""What a driver says of a run, by its Job and the pod that this made. Pure.

The pod stays when its command has ended, and with it the exit code, until the replica is stopped.
What a cluster ended for reasons of its own has not ended by itself: it is gone, and tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from services.scheduler.driver import Observed, Phase
from services.scheduler.drivers.kubernetes import reasons
from services.scheduler.drivers.kubernetes.copy import copy
from services.scheduler.drivers.kubernetes.manifests.pod import SERVER
from services.scheduler.drivers.kubernetes.objects import (
    ContainerStatus,
    Job,
    Node,
    Pod,
    State,
    Terminated,
    condition,
)


def observed(
    job: Job,
    pods: Sequence[Pod],
    now: datetime,
    nodes: Mapping[str, Node],
    *,
    drift: str = "",
) -> Observed:
    """Of a run whose Job exists and is to stay."""
    if not pods:
        return msgspec.structs.replace(_without(job), drift=drift)
    pod = max(pods, key=lambda each: (each.metadata.creation_timestamp or "", each.metadata.name))
    ended = ((pod.container(SERVER) or ContainerStatus()).state or State()).terminated
    if pod.over or ended is not None:
        return msgspec.structs.replace(_over(pod, ended), drift=drift)
    one = copy(pod, now, nodes)
    return Observed(
        phase=one.phase, reason=one.reason, since=one.since, wanted=job.wanted, drift=drift
    )


def _over(pod: Pod, ended: Terminated | None) -> Observed:
    left = 0 if pod.over else 1
    if ended is None or _taken(pod):
        assert pod.status is not None
        reason = f"its pod {reasons.of_failed(pod.status)}"
        return Observed(phase=Phase.GONE, copies=left, reason=reason)
    if ended.reason in ("StartError", "ContainerCannotRun"):
        reason = reasons.of_end(ended, None)
        return Observed(phase=Phase.BROKEN, copies=left, wanted=1, reason=reason)
    code = reasons.exit_code(ended.exit_code or 0)
    reason = reasons.of_end(ended, None) if code else ""
    return Observed(phase=Phase.FINISHED, copies=left, wanted=1, exit_code=code, reason=reason)


def _taken(pod: Pod) -> bool:
    """Whether it ended because its cluster, or somebody there, said so."""
    assert pod.status is not None
    disrupted = condition(pod.status, "DisruptionTarget")
    return pod.leaving or bool(pod.status.reason) or disrupted is not None


def _without(job: Job) -> Observed:
    """Its pod has not come yet, or somebody has taken it away."""
    done, failed = condition(job.status, "Complete"), condition(job.status, "Failed")
    if done is not None and done.status == "True":
        return Observed(phase=Phase.FINISHED, copies=0, wanted=1, exit_code=0)
    if failed is not None and failed.status == "True":
        return Observed(phase=Phase.GONE, copies=0, reason="its pod is gone: somebody deleted it")
    return Observed(phase=Phase.STARTING, copies=0, wanted=1)
