from __future__ import annotations

from typing import Any

import msgspec

from services.scheduler.drivers.kubernetes.metadata import Metadata
from services.scheduler.drivers.kubernetes.nodes import inventory
from services.scheduler.drivers.kubernetes.objects import Pod
from tests.scheduler.kubernetes.driver.pods import node

PRODUCT = {"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090", "nvidia.com/gpu.memory": "24576"}


OURS = "workloads", "ours"


def pod(
    gpus: int,
    platform: str = "",
    name: str = "node-1",
    phase: str = "Running",
    namespace: str = OURS[0],
) -> Pod:
    container = {"name": "x", "resources": {"limits": {"nvidia.com/gpu": gpus}}}
    return msgspec.convert(
        {
            "metadata": {
                "namespace": namespace,
                "labels": {"slipway.dev/platform": platform},
            },
            "spec": {"nodeName": name, "containers": [container, {"name": "y"}]},
            "status": {"phase": phase},
        },
        Pod,
    )


def ids(*nodes: Any, pods: tuple[Pod, ...] = (), held: dict[str, set[int]] | None = None) -> Any:
    return [gpu.id for gpu in inventory("eu", nodes, pods, OURS, held or {})]


def test_each_gpu_of_a_node_is_one_with_its_type() -> None:
    [one, two] = inventory("eu", [node(gpus=2, labels=PRODUCT)], [], OURS, {})
    assert (one.id, one.type, one.node) == ("eu/node-1/0", "rtx3090", "node-1")
    assert (one.device, two.device) == ("node-1/0", "node-1/1")
    assert one.memory == 24576 << 20


def test_those_that_pods_of_others_take_are_not_offered() -> None:
    others = (pod(1), pod(1, "theirs"), pod(9, name="node-2"), pod(9, phase="Succeeded"))
    ours = {"node-1": {0, 1}}
    found = ids(node(gpus=4), pods=(*others, pod(2, "ours")), held=ours)
    assert found == ["eu/node-1/0", "eu/node-1/1"]


def test_s05_a_copy_that_came_to_another_machine_takes_gpus_there_too() -> None:
    """The one before it may run on, where nobody hears of it: what it holds stays held."""
    held = {"away": {0}}
    away = msgspec.structs.replace(
        node(gpus=2, ready=False), metadata=Metadata(name="away", labels={})
    )
    found = ids(away, node(gpus=2), pods=(pod(1, "ours"), pod(1, "ours", "away")), held=held)
    assert found == ["eu/away/0", "eu/node-1/0"]


def test_s08_a_gpu_that_is_gone_or_came_is_not_offered_or_is() -> None:
    assert ids(node(gpus=3)) == ["eu/node-1/0", "eu/node-1/1", "eu/node-1/2"]
    assert ids(node(gpus=2)) == ["eu/node-1/0", "eu/node-1/1"]
    assert ids(node(gpus=1), held={"node-1": {0, 1}}) == ["eu/node-1/0", "eu/node-1/1"]
    assert ids(node(gpus=2), held={"node-1": {2}}) == ["eu/node-1/0", "eu/node-1/2"]


def test_those_that_another_target_of_the_platform_takes_are_not_offered() -> None:
    assert ids(node(gpus=2), pods=(pod(1, "ours", namespace="lyon"),)) == ["eu/node-1/0"]


def test_those_that_our_replicas_hold_stay_while_others_come() -> None:
    held = {"node-1": {3}}
    assert ids(node(gpus=4), pods=(pod(2),), held=held) == ["eu/node-1/0", "eu/node-1/3"]
    assert ids(node(gpus=4), pods=(pod(9),), held=held) == ["eu/node-1/3"]


def test_a_node_that_takes_nobody_keeps_what_our_replicas_hold() -> None:
    held = {"node-1": {2}}
    for closed in (
        node(gpus=4, unschedulable=True),
        node(gpus=4, ready=False),
        node(gpus=4, taints=[{"key": "maintenance", "effect": "NoSchedule"}]),
    ):
        assert ids(closed) == []
        assert ids(closed, held=held) == ["eu/node-1/2"]


def test_a_taint_for_gpu_pods_alone_is_no_obstacle() -> None:
    taints = [
        {"key": "nvidia.com/gpu", "effect": "NoSchedule"},
        {"key": "x", "effect": "PreferNoSchedule"},
    ]
    assert ids(node(gpus=1, taints=taints)) == ["eu/node-1/0"]


def test_what_is_missing_does_no_harm() -> None:
    assert ids(node(), msgspec.structs.replace(node(), status=None, spec=None)) == []
