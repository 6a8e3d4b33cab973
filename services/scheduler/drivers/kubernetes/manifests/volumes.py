"""What is mounted into a replica's containers. Never anything of a node's own disk."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes import quantity
from services.scheduler.drivers.kubernetes.manifests import (
    anchor,
    init,
    names,
    resources,
)
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from services.scheduler.drivers.outputs import FOLDER
from shared.image import HOME

Parts = list[dict[str, Any]]

GIB: Final = 1024  # MB


class Volumes(NamedTuple):
    volumes: Parts
    mounts: Parts  # in the server's container
    writable: (
        bool  # it may write to one that outlives the pod, or that has a file system of its own
    )


def volumes(workload: Workload, settings: Settings) -> Volumes:
    called = names.name(workload.replica)
    found: Parts = [{"name": "anchor", "configMap": {"name": called, "defaultMode": 0o444}}]
    mounts: Parts = [{"name": "anchor", "mountPath": init.FOLDER, "readOnly": True}]
    for path, key in anchor.keys(workload).items():
        mounts.append({"name": "anchor", "mountPath": path, "subPath": key, "readOnly": True})
    disk = _disk(workload, settings)
    for volume, where in (_shared(workload), _workspace(workload, settings), disk):
        found += volume
        mounts += where
    if resources.gpus(workload):
        room = {"medium": "Memory", "sizeLimit": resources.shared_memory(workload, settings)}
        found.append({"name": "shm", "emptyDir": room})
        mounts.append({"name": "shm", "mountPath": "/dev/shm"})
    if workload.run is not None:  # it is there, and goes with the pod
        found.append({"name": "outputs", "emptyDir": {}})
        mounts.append({"name": "outputs", "mountPath": FOLDER})
    endpoint = workload.endpoint
    shared = any(not each.read_only for each in endpoint.volumes)
    return Volumes(found, mounts, shared or endpoint.workspace is not None or bool(disk[0]))


def _shared(workload: Workload) -> tuple[Parts, Parts]:
    """Claims that exist already; one that is mounted twice is one volume."""
    asked = workload.endpoint.volumes
    called = {claim: f"shared-{n}" for n, claim in enumerate(dict.fromkeys(v.claim for v in asked))}
    found = [
        {"name": name, "persistentVolumeClaim": {"claimName": claim}}
        for claim, name in called.items()
    ]
    mounts = [
        {"name": called[each.claim], "mountPath": each.mount_path}
        | ({"subPath": each.sub_path} if each.sub_path else {})
        | ({"readOnly": True} if each.read_only else {})
        for each in asked
    ]
    return found, mounts


def _workspace(workload: Workload, settings: Settings) -> tuple[Parts, Parts]:
    """A disk that lives as long as its pod."""
    asked = workload.endpoint.workspace
    if asked is None:
        return [], []
    source = _ephemeral(asked.size_gib * GIB, asked.storage_class, settings)
    return [{"name": "workspace", **source}], [{"name": "workspace", "mountPath": asked.mount_path}]


def _disk(workload: Workload, settings: Settings) -> tuple[Parts, Parts]:
    """Where the disk is a volume it is where programs put much by themselves."""
    most = resources.disk_of(workload).max
    if settings.disk != "volume" or most is None:
        return [], []
    source = _ephemeral(most, settings.storage_class, settings)
    return [{"name": "disk", **source}], [
        {"name": "disk", "mountPath": "/tmp", "subPath": "tmp"},
        {"name": "disk", "mountPath": f"{HOME}/.cache", "subPath": "cache"},
    ]


def _ephemeral(mb: float, storage_class: str, settings: Settings) -> dict[str, Any]:
    size = quantity.memory(mb)
    if not settings.ephemeral_volumes:
        return {"emptyDir": {"sizeLimit": size}}
    claim: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class:
        claim["storageClassName"] = storage_class
    return {"ephemeral": {"volumeClaimTemplate": {"spec": claim}}}
