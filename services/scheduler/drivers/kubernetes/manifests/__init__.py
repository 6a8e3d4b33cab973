"""From a workload and its image to all that a cluster is told of it. Pure: the same workload gives
the same manifests, byte for byte.

First the project's policy, then the anchor, whose uid the rest needs: it owns them, and the garbage
collector takes them with it.
"""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Refused, Workload
from services.scheduler.drivers.kubernetes.manifests import (
    anchor as anchors,
)
from services.scheduler.drivers.kubernetes.manifests import (
    deployment,
    environment,
    job,
    objections,
    policy,
    secret,
    security,
    service,
)
from services.scheduler.drivers.kubernetes.manifests.applied import stamped
from services.scheduler.drivers.kubernetes.manifests.autoscaler import autoscaler
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.image import ContainerConfig

Manifest = dict[str, Any]


def first(
    workload: Workload, image: ContainerConfig, settings: Settings, *, once: bool = False
) -> tuple[Manifest, Manifest] | Refused:
    """What needs nothing else: the policy of its project, and the anchor. `once`: for a batch."""
    refused = objections.objection(workload, image, settings)
    if refused is not None:
        return refused
    found = environment.environment(image, workload)
    return (
        stamped(policy.policy(workload.project, settings)),
        stamped(anchors.anchor(workload, found, settings, once=once)),
    )


def rest(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    *,
    owner: str,
    room: Room | None = None,
) -> tuple[Manifest, ...] | Refused:
    """What the anchor, whose uid is `owner`, owns: in the order in which it is made."""
    refused = objections.objection(workload, image, settings)
    who = security.user(image, settings)
    if refused is not None or isinstance(who, Refused):
        return refused or Refused("")
    found = environment.environment(image, workload)
    asked = workload.endpoint.autoscaling
    return (
        stamped(secret.secret(workload, found, settings, owner)),
        stamped(service.service(workload, settings, owner)),
        stamped(deployment.deployment(workload, image, settings, who, room, owner)),
        *((stamped(autoscaler(workload, asked, settings, owner)),) if asked else ()),
    )


def batch(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    *,
    owner: str,
    room: Room | None = None,
) -> tuple[Manifest, ...] | Refused:
    """The same for what runs once and ends."""
    refused = objections.objection(workload, image, settings)
    who = security.user(image, settings)
    if refused is not None or isinstance(who, Refused):
        return refused or Refused("")
    found = environment.environment(image, workload)
    return (
        stamped(secret.secret(workload, found, settings, owner)),
        stamped(job.job(workload, image, settings, who, room, owner)),
    )


def manifests(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    *,
    owner: str = "",
    room: Room | None = None,
) -> tuple[Manifest, ...] | Refused:
    """All of it, in the order in which it is made."""
    begun = first(workload, image, settings)
    if isinstance(begun, Refused):
        return begun
    others = rest(workload, image, settings, owner=owner, room=room)
    return others if isinstance(others, Refused) else (*begun, *others)
