"""The Deployment that keeps a replica's pods."""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import meta, names, pod, resources, security
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.image import ContainerConfig


def deployment(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    who: security.User,
    room: Room | None,
    owner: str,
) -> dict[str, Any]:
    scaled = workload.endpoint.autoscaling is not None  # then how many is not ours to say
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta.metadata(workload, settings, owner),
        "spec": {
            **({} if scaled else {"replicas": workload.copies}),
            "revisionHistoryLimit": 1,
            "progressDeadlineSeconds": settings.progress,
            "selector": {"matchLabels": names.selector(settings.platform, workload.replica)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": _surge(workload)},
            "template": pod.template(workload, image, settings, who, room),
        },
    }


def _surge(workload: Workload) -> dict[str, int]:
    """New pods come first, but for those that wait for the GPUs of old ones."""
    if resources.gpus(workload):
        return {"maxSurge": 0, "maxUnavailable": 1}
    return {"maxSurge": 1, "maxUnavailable": 0}
