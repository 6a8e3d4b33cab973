"""A node that is only played: what a kubelet would say of it and of its pods, and no containers.

It is tainted and labelled, so that nothing comes to it but pods that ask for it; those are ready as
soon as they are seen, each with an address of its own, and gone as soon as they have to go.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final

from tests.cluster.api import Api, Refused

NODE: Final = "slipway-sim"
LABEL: Final = "slipway.dev/simulated"
NODES: Final = "/api/v1/nodes"
LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
FIRST: Final = int(ip_address("10.250.0.1"))
HEARTBEAT: Final = 10.0
AT_ONCE: Final = 16

ROOM: Final = {"cpu": "4000", "memory": "16Ti", "pods": "4000", "ephemeral-storage": "16Ti"}


class Kubelet:
    def __init__(self, api: Api, host: str, port: int) -> None:
        """`host` and `port`: where its logs are read; "" if the API server can't reach us."""
        self._api = api
        self._place = host, port
        self._addresses = itertools.count(FIRST)
        self._known: set[str] = set()  # pods, by uid, that are up
        self._gate = asyncio.Semaphore(AT_ONCE)
        self.started = 0

    async def register(self) -> None:
        """Begin anew if one of that name was left behind."""
        await self.leave()
        await self._api.post(NODES, _node())
        await self._api.patch(f"{NODES}/{NODE}/status", {"status": _node_status(*self._place)})
        await self._api.post(LEASES, {"metadata": {"name": NODE}, "spec": _lease()})

    async def leave(self) -> None:
        await self._api.delete(f"{LEASES}/{NODE}")
        await self._api.delete(f"{NODES}/{NODE}")

    async def run(self) -> None:
        """Play, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._beat())
            while True:
                with suppress(Refused, OSError, TimeoutError):
                    await self._follow(group)
                await asyncio.sleep(0.2)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            with suppress(Refused):
                await self._api.patch(f"{LEASES}/{NODE}", {"spec": _lease()})

    async def _follow(self, group: asyncio.TaskGroup) -> None:
        ours = {"fieldSelector": f"spec.nodeName={NODE}"}
        found = await self._api.get("/api/v1/pods", **ours)
        for pod in found["items"] or ():
            group.create_task(self._saw(pod))
        version = found["metadata"]["resourceVersion"]
        async for event in self._api.watch("/api/v1/pods", version, **ours):
            if event["type"] == "ERROR":
                return
            if event["type"] in ("ADDED", "MODIFIED"):
                group.create_task(self._saw(event["object"]))

    async def _saw(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        async with self._gate:
            with suppress(Refused):
                if "deletionTimestamp" in meta:
                    await self._api.delete(
                        path, gracePeriodSeconds=0, preconditions={"uid": meta["uid"]}
                    )
                elif meta["uid"] not in self._known:
                    self._known.add(meta["uid"])
                    address = str(ip_address(next(self._addresses)))
                    await self._api.patch(f"{path}/status", {"status": _status(pod, address)})
                    self.started += 1


@asynccontextmanager
async def playing(api: Api, host: str = "", port: int = 0) -> AsyncIterator[Kubelet]:
    """Its pods should be gone before the end: nobody ends them afterwards but the cluster."""
    kubelet = Kubelet(api, host, port)
    await kubelet.register()
    task = asyncio.create_task(kubelet.run())
    try:
        yield kubelet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await kubelet.leave()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _node() -> dict[str, Any]:
    return {
        "metadata": {
            "name": NODE,
            "labels": {
                LABEL: "true",
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]},
    }


def _node_status(host: str, port: int) -> dict[str, Any]:
    pressure = [
        _condition(f"{what}Pressure", "False", "KubeletHasSufficient")
        for what in ("Memory", "Disk", "PID")
    ]
    return {
        "capacity": ROOM,
        "allocatable": ROOM,
        "addresses": [{"type": "InternalIP" if host else "Hostname", "address": host or NODE}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [*pressure, _condition("Ready", "True", "KubeletReady")],
        "nodeInfo": {"kubeletVersion": "v0-simulated"},
    }


def _condition(kind: str, status: str, reason: str = "") -> dict[str, str]:
    now = _now()
    said = {"type": kind, "status": status, "lastTransitionTime": now}
    return {**said, "lastHeartbeatTime": now, "reason": reason} if reason else said


def _lease() -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": now}


def _status(pod: dict[str, Any], address: str) -> dict[str, Any]:
    spec, now = pod["spec"], _now()
    true = ("Initialized", "Ready", "ContainersReady", "PodScheduled")

    def said(container: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "containerID": f"simulated://{pod['metadata']['uid']}-{container['name']}",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": state,
        }

    return {
        "phase": "Running",
        "conditions": [_condition(name, "True") for name in true],
        "hostIP": "10.249.0.1",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": now,
        "initContainerStatuses": [
            said(each, {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}})
            for each in spec.get("initContainers") or ()
        ],
        "containerStatuses": [
            said(each, {"running": {"startedAt": now}}) for each in spec["containers"]
        ],
    }
