"""How things on a cluster are broken on purpose."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.beds.kubernetes import cluster, daemons
from tests.beds.kubernetes.bed import Cluster


async def kill(bed: Cluster, pod: dict[str, Any]) -> None:
    """SIGKILL to the first process of each of its containers, as when memory runs out.

    On a node of somebody else's, the pod is taken away without a grace instead.
    """
    if not bed.host:
        meta = pod["metadata"]
        words = ("delete", "pod", meta["name"], "--namespace", meta["namespace"])
        await bed.kubectl(*words, "--force", "--grace-period=0")
        return
    for status in pod["status"]["containerStatuses"]:
        identity = status["containerID"].partition("://")[2]
        for process in _first_of(identity):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@asynccontextmanager
async def without(name: str) -> AsyncIterator[None]:
    """A part of our own cluster is killed, and begins again at the end."""
    await asyncio.to_thread(daemons.stop, name, signal.SIGKILL)
    try:
        yield
    finally:
        await asyncio.to_thread(cluster.start, name)


@asynccontextmanager
async def cordoned(bed: Cluster) -> AsyncIterator[None]:
    """No node takes new pods meanwhile."""
    names = [node["metadata"]["name"] for node in (await bed.get("nodes"))["items"]]
    await bed.kubectl("cordon", *names)
    try:
        yield
    finally:
        await bed.kubectl("uncordon", *names)


def _first_of(identity: str) -> list[int]:
    """The process that is number 1 in a container."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if identity not in (folder / "cgroup").read_text():
                continue
            status = (folder / "status").read_text()
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            if numbers.split()[-1] == "1":
                found.append(int(folder.name))
    return found
