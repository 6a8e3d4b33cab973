"""On which nodes a replica may run: those that its owner asks for, and those with its GPUs; never
because of what it tolerates on those that run the cluster itself."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import names
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.affinity import PodAffinity
from shared.endpoint import Toleration

HOST: Final = "kubernetes.io/hostname"
REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"

CLUSTERS: Final = tuple(
    f"node-role.kubernetes.io/{role}"
    for role in ("control-plane", "master", "controlplane", "etcd")
)
"""Labels, and taints, of nodes that run the cluster itself."""
LEAVING: Final = "node.kubernetes.io/unschedulable"
"""The taint of a node that is being emptied."""


def placement(workload: Workload, settings: Settings, room: Room | None) -> dict[str, Any]:
    """The part of a pod that says so; with nothing to say there is none of it."""
    labels = node_labels(workload)
    tolerations = [_toleration(each) for each in workload.endpoint.tolerations]
    affinity = _affinity(workload, settings, room)
    return {
        **({"nodeSelector": labels} if labels else {}),
        **({"tolerations": tolerations} if tolerations else {}),
        **({"affinity": affinity} if affinity else {}),
    }


def node_labels(workload: Workload) -> dict[str, str]:
    key, _, value = workload.endpoint.node_selector.partition("=")
    written = {key.strip(): value.strip()} if workload.endpoint.node_selector else {}
    return workload.endpoint.node_labels | written


def _toleration(asked: Toleration) -> dict[str, Any]:
    told: dict[str, Any] = {"key": asked.key, "operator": asked.operator, "value": asked.value}
    told |= {"effect": asked.effect, "tolerationSeconds": asked.seconds}
    return {key: value for key, value in told.items() if value not in ("", None)}


def _affinity(workload: Workload, settings: Settings, room: Room | None) -> dict[str, Any]:
    asked = workload.endpoint.affinity
    found: dict[str, Any] = {}
    tolerates_all = any(not each.key for each in workload.endpoint.tolerations)
    if nodes := _nodes(_plain(asked.node_affinity) if asked else {}, room, tolerates_all):
        found["nodeAffinity"] = nodes
    for name, pods in (
        ("podAffinity", asked and asked.pod_affinity),
        ("podAntiAffinity", asked and asked.pod_anti_affinity),
    ):
        if pods and (told := _pods(pods, workload, settings)):
            found[name] = told
    return found


def _nodes(asked: dict[str, Any], room: Room | None, tolerates_all: bool) -> dict[str, Any]:
    """What its owner asks for, and a node with the right GPUs, best of all the one chosen."""
    terms = asked.get(REQUIRED, {}).get("nodeSelectorTerms", [])
    preferred = asked.get(PREFERRED, [])
    right: list[dict[str, Any]] = []
    if room is not None and room.label:
        right.append({"key": room.label, "operator": "In", "values": list(room.values)})
    if tolerates_all:
        right += [{"key": label, "operator": "DoesNotExist"} for label in CLUSTERS]
    if right:  # one of the terms has to hold, so each of them asks for it
        terms = [
            {"matchExpressions": [*term["matchExpressions"], *right]}
            for term in terms or [{"matchExpressions": []}]
        ]
    if room is not None and room.nodes:
        chosen = {"key": HOST, "operator": "In", "values": list(room.nodes)}
        preferred = [
            {"weight": 100, "preference": {"matchExpressions": [chosen]}},
            *preferred,
        ]
    return {
        **({REQUIRED: {"nodeSelectorTerms": terms}} if terms else {}),
        **({PREFERRED: preferred} if preferred else {}),
    }


def _pods(asked: PodAffinity, workload: Workload, settings: Settings) -> dict[str, Any]:
    """Only ever about replicas of its own project: else one could keep others off a node."""
    own = names.ours(settings.platform) | names.owner_and_project(workload.project)
    told: dict[str, Any] = _plain(asked)
    for term in [
        *told.get(REQUIRED, []),
        *(each["podAffinityTerm"] for each in told.get(PREFERRED, [])),
    ]:
        selector = term.setdefault("labelSelector", {})
        selector["matchLabels"] = selector.get("matchLabels", {}) | own
    return told


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value)) if value is not None else {}
