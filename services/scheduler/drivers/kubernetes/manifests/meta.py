"""The part that everything of a replica has in common."""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import names
from services.scheduler.drivers.kubernetes.manifests.settings import Settings


def metadata(workload: Workload, settings: Settings, owner: str = "") -> dict[str, Any]:
    """`owner` is the uid of the anchor, without which the garbage collector takes all of it."""
    called = names.name(workload.replica)
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": called, "uid": owner}]
    return {
        "name": called,
        "namespace": settings.namespace,
        "labels": names.labels(settings.platform, workload),
        "annotations": names.written(workload),
    } | ({"ownerReferences": references} if owner else {})
