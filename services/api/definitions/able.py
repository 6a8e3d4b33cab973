"""What a target makes of a deployment configuration: what it can't do, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from services.api.formats.hydrosphere.quantities import NVIDIA
from services.api.gpus import Stock
from shared.application import Configuration
from shared.endpoint import Gpus
from shared.target import has_copies, kind

ONE: Final = "the target {} runs one copy of a servable; a target that is a cluster runs more"
MACHINE: Final = "the target {} is one machine, which has no labels to choose by"
ADVICE: Final = "says nothing on the target {}, which is one machine"
UNKEPT: Final = "is not kept on the target {}, whose servables share its machine"
LIMITS: Final = "container.resources.limits"
REQUESTS: Final = "container.resources.requests"


class Remark(NamedTuple):
    path: str
    message: str
    refused: bool


def copies(settings: Configuration) -> int:
    """With how many a servable begins."""
    if settings.autoscaling is not None:
        return settings.autoscaling.min
    return 1 if settings.replicas is None else settings.replicas


def gpus(settings: Configuration) -> int:
    return settings.limits.gpus or 0


def remarks(settings: Configuration, target: str) -> Iterator[Remark]:
    """What would change the meaning of what was written is refused; advice is left out."""
    if copies(settings) == 0:
        said = "is 0, so it would never answer; leave it out for one copy"
        yield Remark("deployment.replicaCount", said, True)
    if settings.autoscaling is not None and gpus(settings):
        said = "copies that hold GPUs are not scaled by the target; use deployment.replicaCount"
        yield Remark("hpa", said, True)
    if not has_copies(target):
        yield from _of_machine(settings, target)
    if kind(target) == "process":
        yield from _unkept(settings, target)


def _of_machine(settings: Configuration, target: str) -> Iterator[Remark]:
    scaled = settings.autoscaling
    if scaled is not None:
        yield Remark("hpa", ONE.format(target), scaled.max > 1)
    elif copies(settings) > 1:
        yield Remark("deployment.replicaCount", ONE.format(target), True)
    if settings.node_labels:
        yield Remark("pod.nodeSelector", MACHINE.format(target), True)
    affinity = settings.affinity
    if affinity is not None:
        required = affinity.node_affinity is not None and affinity.node_affinity.required
        if required or (affinity.pod_affinity is not None and affinity.pod_affinity.required):
            yield Remark("pod.affinity", MACHINE.format(target), True)
        else:
            yield Remark("pod.affinity", ADVICE.format(target), False)
    if settings.tolerations:
        yield Remark("pod.tolerations", ADVICE.format(target), False)


def _unkept(settings: Configuration, target: str) -> Iterator[Remark]:
    for path, found in ((REQUESTS, settings.requests), (LIMITS, settings.limits)):
        for name in ("cpu", "memory"):
            if getattr(found, name) is not None:
                yield Remark(f"{path}.{name}", UNKEPT.format(target), False)


def without_gpus(settings: Configuration, target: str, stock: Stock) -> Remark | None:
    """Why a servable could never have the GPUs that it is to hold."""
    wish, path = Gpus(count=gpus(settings)), f"{LIMITS}.{NVIDIA}"
    if wish.count == 0:
        return None
    if not stock.fitting(wish):
        most = max((gpu.together or gpu.total for gpu in stock.types), default=0)
        return Remark(path, f"must be at most {most}: the target {target} has no more", True)
    if copies(settings) > (room := stock.room(wish)):
        said = f"must be at most {room}: the target {target} has no GPUs for more copies"
        return Remark("deployment.replicaCount", said, True)
    return None
