"""What a replica may use up, by what its endpoint asks for and what is usual. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from services.scheduler.driver import Workload

MB: Final = 1 << 20
PROCESSES: Final = 4096


class Limits(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """0 is as much as there is."""

    memory: int = 0  # bytes, of all its processes together
    disk: int = 64 << 30  # bytes that it writes
    files: int = 1_000_000  # that it makes, folders among them
    processes: int = PROCESSES  # at a time


def limited(workload: Workload, usual: Limits) -> Limits:
    """What is asked for is the limit; `usual` is for who asks for nothing."""
    memory, room = workload.endpoint.resources.memory.max, disk_asked(workload)
    return msgspec.structs.replace(
        usual,
        memory=usual.memory if memory is None else round(memory * MB),
        disk=usual.disk if room is None else round(room * MB),
    )


def disk_asked(workload: Workload) -> float | None:
    """MB that it may write, where it says so."""
    most = workload.endpoint.resources.disk.max
    if most is None and workload.endpoint.disk_gib is not None:
        return workload.endpoint.disk_gib * 1024
    return most
