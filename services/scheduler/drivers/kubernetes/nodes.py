"""The GPUs of a cluster, from its nodes and from what pods ask for. Pure.

A cluster says how many a node has, not which ones are taken, so they are numbered, and replicas
hold numbers: those that our replicas hold come first, then as many as are left by the pods of
others. Which device a pod is given is the node's to say, so a number is only good for counting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from services.scheduler.driver import Gpu
from services.scheduler.drivers.kubernetes.manifests import names
from services.scheduler.drivers.kubernetes.objects import Container, Node, Pod
from services.scheduler.drivers.kubernetes.quantity import quantity
from shared.endpoint import gpu_type

RESOURCE: Final = "nvidia.com/gpu"

PRODUCTS: Final = (
    "nvidia.com/gpu.product",  # NVIDIA's own discovery
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
)
"""Labels of nodes that name the GPU's type."""

MEMORY: Final = "nvidia.com/gpu.memory"  # of one GPU, in MiB

_SHAPE: Final = re.compile(r"sxm\d*|pcie|nvl|hbm\d*e?|\d+gb", re.ASCII)
_WORKSTATION: Final = re.compile(r"a\d000")


def inventory(
    target: str,
    nodes: Iterable[Node],
    pods: Iterable[Pod],
    ours: tuple[str, str],
    held: Mapping[str, Collection[int]],
) -> list[Gpu]:
    """The GPUs that are usable now.

    `pods` are all of the cluster; those of this namespace and platform are `ours`. `held` are the
    numbers that our replicas hold, by node: they stay on a node that takes nobody else any more.
    """
    own, others = _taken(pods, *ours)
    found: list[Gpu] = []
    for node in sorted(nodes, key=lambda node: node.metadata.name):
        name = node.metadata.name
        kept = sorted(held.get(name, ()))
        # pods that came here though their GPUs were given elsewhere: that machine was away
        strays = max(0, own[name] - len(kept))
        room = _count(node) - others[name] - strays if usable(node) else 0
        free = (number for number in range(_count(node)) if number not in kept)
        numbers = kept + [number for _, number in zip(range(room - len(kept)), free, strict=False)]
        found += [_gpu(target, node, number) for number in sorted(numbers)]
    return found


def usable(node: Node) -> bool:
    """Whether pods of ours may come to it."""
    spec = node.spec
    if not node.ready or node.metadata.deletion_timestamp or (spec and spec.unschedulable):
        return False
    return not any(
        taint.effect in ("NoSchedule", "NoExecute") and taint.key != RESOURCE
        for taint in (spec and spec.taints) or ()
    )


def product(node: Node) -> tuple[str, str]:
    """The label that says of which type a node's GPUs are, and its value; "" when none does."""
    labels = node.metadata.labels or {}
    return next(((label, labels[label]) for label in PRODUCTS if labels.get(label)), ("", ""))


def type_of(text: str) -> str:
    """The short form of what a label calls a GPU: without its plug and the size of its memory.

    >>> [type_of(text) for text in ("NVIDIA-GeForce-RTX-3090", "Tesla-T4", "nvidia-tesla-v100",
    ...  "NVIDIA-A100-SXM4-40GB", "NVIDIA-RTX-A6000", "Tesla-P100-PCIE-16GB", "NVIDIA-L4", "")]
    ['rtx3090', 't4', 'v100', 'a100', 'a6000', 'p100', 'l4', 'gpu']
    >>> type_of("NVIDIA-A100-SXM4-40GB-MIG-1g.5gb")
    'a100mig1g.5gb'
    """
    whole, slash, part = text.lower().replace("_", "-").partition("-mig-")
    words = [word for word in re.split(r"[-\s]+", whole) if not _SHAPE.fullmatch(word)]
    if "rtx" in words and any(map(_WORKSTATION.fullmatch, words)):
        words.remove("rtx")
    short = gpu_type(" ".join(words)) if any(words) else "gpu"
    plain = re.sub(r"[^a-z0-9.]", "", short + slash.strip("-") + part)
    return plain.lstrip(".")[:63] or "gpu"


def device(node: str, number: int) -> str:
    """What Workload.devices calls it.

    >>> place(device("node-a.example", 3)), place("0")
    (('node-a.example', 3), ('', 0))
    """
    return f"{node}/{number}"


def place(device: str) -> tuple[str, int]:
    """The inverse; a device that names no node is one that was only declared."""
    node, _, number = device.rpartition("/")
    return node, int(number) if number.isdecimal() else 0


def _gpu(target: str, node: Node, number: int) -> Gpu:
    name = node.metadata.name
    mib = quantity((node.metadata.labels or {}).get(MEMORY))
    return Gpu(
        id=f"{target}/{name}/{number}",
        type=type_of(product(node)[1]),
        device=device(name, number),
        memory=int(mib) << 20 if mib is not None and 0 < mib < 1 << 32 else 0,
        node=name,
    )


def _count(node: Node) -> int:
    return _whole((node.status and node.status.allocatable) or {})


def _taken(pods: Iterable[Pod], namespace: str, platform: str) -> tuple[Counter[str], Counter[str]]:
    """How many GPUs our pods and those of others take, by node: those of another target of the
    platform's, in a namespace of its own, are others. Of ours, those that leave are not counted:
    their replica still holds their GPUs."""
    own: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for pod in pods:
        meta = pod.metadata
        labelled = (meta.labels or {}).get(names.PLATFORM) == names.label(platform)
        ours = labelled and meta.namespace == namespace
        if pod.node and not pod.over and not (ours and pod.leaving):
            (own if ours else others)[pod.node] += wants(pod)
    return own, others


def wants(pod: Pod) -> int:
    """How many GPUs a pod takes: all of its containers run at once, what prepares them before."""
    spec = pod.spec
    together = sum(_asked(one) for one in (spec and spec.containers) or ())
    before = max((_asked(one) for one in (spec and spec.init_containers) or ()), default=0)
    return max(together, before)


def _asked(container: Container) -> int:
    resources = container.resources
    return _whole((resources and (resources.limits or resources.requests)) or {})


def _whole(amounts: Mapping[str, str | int | float]) -> int:
    found = quantity(amounts.get(RESOURCE))
    return max(0, int(found)) if found is not None else 0
