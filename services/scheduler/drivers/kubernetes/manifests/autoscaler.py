"""The HorizontalPodAutoscaler of a replica that has one."""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import meta, names
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.endpoint import Autoscaling


def autoscaler(
    workload: Workload, asked: Autoscaling, settings: Settings, owner: str
) -> dict[str, Any]:
    target = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": names.name(workload.replica),
    }
    return {
        "apiVersion": f"autoscaling/{settings.autoscaling}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta.metadata(workload, settings, owner),
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": asked.min,
            "maxReplicas": asked.max,
            **_metric(asked, settings),
        },
    }


def _metric(asked: Autoscaling, settings: Settings) -> dict[str, Any]:
    if settings.autoscaling == "v1":
        return {"targetCPUUtilizationPercentage": asked.cpu_percent}
    goal = {"type": "Utilization", "averageUtilization": asked.cpu_percent}
    return {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": goal}}]}
