"""What a server is promised, and what it never gets more than: there is always a limit."""

from __future__ import annotations

from typing import Any, Final

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes import quantity
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.endpoint import Range

DISK: Final = "ephemeral-storage"

DOORMAN: Final = {
    "requests": {"cpu": "10m", "memory": "32Mi", DISK: "8Mi"},
    # as many connections as it takes, all of them slow at both ends
    "limits": {"cpu": "1", "memory": "384Mi", DISK: "64Mi"},
}


def resources(workload: Workload, settings: Settings) -> dict[str, Any]:
    """Of the container of a server."""
    asked, usual = workload.endpoint.resources, settings.defaults
    cpu = _both(asked.cpu, usual.cpu)
    memory = _both(asked.memory, usual.memory)
    disk = _both(usual.disk if settings.disk == "volume" else disk_of(workload), usual.disk)
    requests = {
        "cpu": quantity.cpu(cpu[0]),
        "memory": quantity.memory(memory[0]),
        DISK: quantity.memory(disk[0]),
    }
    limits = {
        "cpu": quantity.cpu(cpu[1]),
        "memory": quantity.memory(memory[1]),
        DISK: quantity.memory(disk[1]),
    }
    if count := gpus(workload):  # of which only whole ones are given, so both are the same
        requests[settings.gpu_resource] = limits[settings.gpu_resource] = str(count)
    return {"requests": requests, "limits": limits}


def gpus(workload: Workload) -> int:
    """How many each copy has."""
    return len(workload.devices) // max(1, workload.copies)


def disk_of(workload: Workload) -> Range:
    """What its owner asked for, in MB."""
    asked = workload.endpoint.resources.disk
    if asked.max is None and workload.endpoint.disk_gib is not None:
        return Range(min=asked.min, max=workload.endpoint.disk_gib * 1024)
    return asked


def shared_memory(workload: Workload, settings: Settings) -> str:
    """As much of its memory as two processes may share: half."""
    return quantity.memory(
        _both(workload.endpoint.resources.memory, settings.defaults.memory)[1] / 2
    )


def _both(asked: Range, usual: Range) -> tuple[float, float]:
    """The promise and the limit; where only one was asked for, the other makes room for it."""
    most = asked.max if asked.max is not None else max(usual.max or 1, asked.min or 0)
    least = asked.min if asked.min is not None else (usual.min or 0)
    return min(least, most), most
