"""Whether a job may have several copies where it is to run."""

from __future__ import annotations

from typing import Final

from shared.endpoint import Endpoint
from shared.errors import Invalid
from shared.target import has_copies

ONE: Final = "must be 1: the target {} runs one copy of a job; a target that is a cluster runs more"
BY_CPU: Final = (
    "copies that hold GPUs are not scaled by how busy their CPUs are; say requests or waiting"
)


def check(copies: int, target: str, field: str) -> None:
    """Raises Invalid when a job can't have so many on this target."""
    if copies != 1 and not has_copies(target):
        raise Invalid(field, ONE.format(target))


def allowed(endpoint: Endpoint, target: str, of: str = "") -> None:
    """Raises Invalid when it can't have the copies that it asks for; `of` is what follows the names
    of the fields that say how many."""
    scaled = endpoint.autoscaling
    if scaled is None:
        check(endpoint.replicas, target, f"replicas{of}")
        return
    check(scaled.max, target, f"autoscaling{of}.max")
    if endpoint.gpus.count and not scaled.by_demand:
        raise Invalid(f"autoscaling{of}", BY_CPU)
