"""A scheduler and a kubelet that only pretend: pods get a node, an address, and a fate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, TypeAlias

from tests.scheduler.kubernetes.fake.controllers import over
from tests.scheduler.kubernetes.fake.store import Object, Store, now

GPU = "nvidia.com/gpu"

Fate: TypeAlias = Literal[
    "ready", "unready", "pull-fail", "crash", "oom", "unschedulable", "evicted", "stuck"
]


class Kubelet:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._addresses = itertools.count(2)
        self.fates: dict[str, Fate] = {}  # by the beginning of a pod's name; the longest one counts
        self.exits: dict[str, int] = {}  # by the beginning of a pod's name: what it ends with
        self.logs: dict[tuple[str, str], list[bytes]] = {}  # by pod and container

    def node(self, name: str, *, gpus: int = 0, labels: dict[str, str] | None = None) -> Object:
        room = {"cpu": "64", "memory": "256Gi", "pods": "6000"} | ({GPU: str(gpus)} if gpus else {})
        return self._store.create(
            "nodes",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {
                    "name": name,
                    "labels": {"kubernetes.io/hostname": name} | (labels or {}),
                },
                "spec": {},
                "status": {
                    "capacity": room,
                    "allocatable": room,
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                },
            },
        )

    def fate(self, pod: Object) -> Fate:
        name = pod["metadata"]["name"]
        known = [prefix for prefix in self.fates if name.startswith(prefix)]
        return self.fates[max(known, key=len)] if known else "ready"

    def step(self) -> None:
        """Every pod goes one step on."""
        taken: dict[str, int] = {}
        pods = self._store.find("pods")
        for pod in pods:
            if (node := pod["spec"].get("nodeName")) and not over(pod):
                taken[node] = taken.get(node, 0) + _gpus(pod)
        for pod in pods:
            self._step(pod, taken)

    def _step(self, pod: Object, taken: dict[str, int]) -> None:
        fate = self.fate(pod)
        if pod["metadata"].get("deletionTimestamp"):
            if fate != "stuck":
                self._store.remove("pods", pod)
            return
        if over(pod):
            return
        if not pod["spec"].get("nodeName"):
            self._place(pod, taken)
        else:
            self._live(pod, fate)

    def _place(self, pod: Object, taken: dict[str, int]) -> None:
        wanted = _gpus(pod)
        selector = pod["spec"].get("nodeSelector") or {}
        for node in self._store.find("nodes") if self.fate(pod) != "unschedulable" else ():
            name, labels = node["metadata"]["name"], node["metadata"].get("labels") or {}
            free = int(node["status"]["allocatable"].get(GPU, "0")) - taken.get(name, 0)
            fits = selector.items() <= labels.items() and free >= wanted
            if fits and not node["spec"].get("unschedulable"):
                taken[name] = taken.get(name, 0) + wanted
                placed = self._store.update(
                    "pods", pod | {"spec": pod["spec"] | {"nodeName": name}}
                )
                self._status(placed, "Pending", [_condition("PodScheduled", True)], "creating")
                return
        nodes = len(self._store.find("nodes"))
        why = f"0/{nodes} nodes are available: {nodes} Insufficient {GPU if wanted else 'cpu'}."
        self._status(
            pod, "Pending", [_condition("PodScheduled", False, "Unschedulable", why)], None
        )

    def _live(self, pod: Object, fate: Fate) -> None:
        scheduled = _condition("PodScheduled", True)
        name = pod["metadata"]["name"]
        code = next((code for each, code in self.exits.items() if name.startswith(each)), None)
        if code is not None:
            self._end(pod, code)
        elif fate == "evicted":
            said = {"reason": "Evicted", "message": "The node was low on resource: memory."}
            self._store.status("pods", pod, pod["status"] | {"phase": "Failed"} | said)
        elif fate == "pull-fail":
            self._status(pod, "Pending", [scheduled, _condition("Ready", False)], fate)
        elif fate in ("crash", "oom"):
            self._status(pod, "Running", [scheduled, _condition("Ready", False)], fate)
        elif fate == "unready":
            self._status(pod, "Running", [scheduled, _condition("Ready", False)], "running")
        else:
            self._status(pod, "Running", [scheduled, _condition("Ready", True)], "running")

    def _end(self, pod: Object, code: int) -> None:
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now()}
        containers = [
            {"name": each["name"], "state": {"terminated": ended}, "ready": False}
            for each in pod["spec"]["containers"]
        ]
        told = {"phase": "Failed" if code else "Succeeded", "containerStatuses": containers}
        self._store.status("pods", pod, pod["status"] | told)

    def _status(self, pod: Object, phase: str, conditions: list[Object], how: str | None) -> None:
        status = {"phase": phase, "conditions": conditions}
        if how:
            old = pod.get("status") or {}
            address = old.get("podIP") or ("" if phase == "Pending" else self._address())
            if address:
                status |= {"podIP": address, "podIPs": [{"ip": address}]}
            status["containerStatuses"] = list(self._containers(pod, how))
        self._store.status("pods", pod, status)

    def _containers(self, pod: Object, how: str) -> Iterator[Object]:
        old = {
            each["name"]: each for each in (pod.get("status") or {}).get("containerStatuses", ())
        }
        for number, container in enumerate(pod["spec"]["containers"]):
            name, before = container["name"], old.get(container["name"], {})
            hit = number == 0  # the first one suffers; the others run
            state = _state(pod, name, how if hit or how == "creating" else "running", before)
            if "running" in state["state"]:
                key = pod["metadata"]["name"], name
                self.logs.setdefault(key, [f"{now()[:-1]}.000000001Z {name} began".encode()])
            yield {"name": name, "image": container["image"], "imageID": container["image"]} | state

    def _address(self) -> str:
        number = next(self._addresses)
        return f"127.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def _state(pod: Object, name: str, how: str, before: Object) -> Object:
    begun = before.get("state", {}).get("running", {}).get("startedAt") or now()
    if how == "creating":
        return _waiting("ContainerCreating", "", 0)
    if how == "pull-fail":
        return _waiting("ImagePullBackOff", 'Back-off pulling image "x"', 0)
    if how in ("crash", "oom"):
        count = min(before.get("restartCount", 0) + 1, 6)
        where = f"container={name} pod={pod['metadata']['name']}"
        why = f"back-off {min(300, 10 << (count - 1))}s restarting failed {where}"
        ended = (
            {"exitCode": 137, "reason": "OOMKilled"}
            if how == "oom"
            else {"exitCode": 1, "reason": "Error"}
        )
        ended |= (
            {"startedAt": begun, "finishedAt": now()}
            if count < 6
            else before["lastState"]["terminated"]
        )
        last = {"lastState": {"terminated": ended}}
        return _waiting("CrashLoopBackOff", why, count) | last
    return {
        "state": {"running": {"startedAt": begun}},
        "lastState": before.get("lastState", {}),
        "ready": True,
        "started": True,
        "restartCount": before.get("restartCount", 0),
        "containerID": f"containerd://{pod['metadata']['uid']}-{name}",
    }


def _waiting(reason: str, message: str, count: int) -> Object:
    waiting = {"reason": reason} | ({"message": message} if message else {})
    return {"state": {"waiting": waiting}, "lastState": {}, "ready": False, "restartCount": count}


def _condition(type: str, yes: bool, reason: str = "", message: str = "") -> Object:
    said = {"reason": reason, "message": message} if reason else {}
    return {"type": type, "status": "True" if yes else "False"} | said


def _gpus(pod: Object) -> int:
    return sum(
        int((container.get("resources") or {}).get("limits", {}).get(GPU, "0"))
        for container in pod["spec"]["containers"]
    )
