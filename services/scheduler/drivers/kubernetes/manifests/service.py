"""The Service of a replica: its name in the cluster. The router itself goes to the pods."""

from __future__ import annotations

from typing import Any

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import doors, meta, names, pod
from services.scheduler.drivers.kubernetes.manifests.settings import Settings


def service(workload: Workload, settings: Settings, owner: str) -> dict[str, Any]:
    port = doors.doors(workload.endpoint.port).door
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta.metadata(workload, settings, owner),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",  # there are only so many addresses
            "selector": names.selector(settings.platform, workload.replica),
            "ports": [{"name": pod.DOOR, "port": port, "targetPort": pod.DOOR, "protocol": "TCP"}],
        },
    }
