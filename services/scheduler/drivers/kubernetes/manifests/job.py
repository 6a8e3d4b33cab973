"""The Job of a workload that runs once and ends: no doorman, and no second try."""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import (
    environment,
    meta,
    names,
    pod,
    security,
)
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.image import ContainerConfig


def job(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    who: security.User,
    room: Room | None,
    owner: str,
) -> dict[str, Any]:
    """Its anchor was made with `once`."""
    found = environment.environment(image, workload)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta.metadata(workload, settings, owner),
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": {
                    "labels": names.labels(settings.platform, workload),
                    "annotations": names.written(workload),
                },
                "spec": {
                    **pod.common(workload, image, settings, who, room),
                    "restartPolicy": "Never",
                    "containers": [pod.server(workload, image, settings, who, found)],
                },
            },
        },
    }
