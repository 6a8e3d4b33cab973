"""Whether a job may have several copies where it is to run."""

from __future__ import annotations

from typing import Final

from shared.errors import Invalid
from shared.target import has_copies

ONE: Final = "must be 1: the target {} runs one copy of a job; a target that is a cluster runs more"


def check(copies: int, target: str, field: str) -> None:
    """Raises Invalid when a job can't have so many on this target."""
    if copies != 1 and not has_copies(target):
        raise Invalid(field, ONE.format(target))
