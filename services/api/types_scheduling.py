"""What the API takes and gives about the queue: what owners may have of it, and how they count."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from services.api.types import Ask, Give, PriorityName
from shared.endpoint import Priority

ALL: Final = "*"
"""In a quota: all types of GPU together."""

MOST: Final = 1_000_000  # GPUs


class NewQuota(Ask, frozen=True, kw_only=True):
    """GPUs that an owner may have of a target: `nominal` always, and `borrow` more of what others
    of its cohort leave unused."""

    nominal: Annotated[int, Meta(ge=0, le=MOST)]
    borrow: Annotated[int, Meta(ge=0, le=MOST)] | None = None  # None: as many as there are
    cohort: Annotated[
        str,
        Meta(
            pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$(?!\n)",
            description="lower-case letters, digits and dashes; up to 63 characters",
        ),
    ] = ""


class Quota(Give, frozen=True, kw_only=True):
    owner: str
    target: str
    gpu_type: str  # `*`: all types together
    nominal: int
    borrow: int | None
    cohort: str
    changed_at: datetime


class NewAllowance(Ask, frozen=True, kw_only=True):
    """How an owner counts in the queue."""

    weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0  # its part of what is shared
    highest: PriorityName = "normal"  # class that its tokens may ask for at most


class Allowance(Give, frozen=True, kw_only=True):
    owner: str
    weight: float
    highest: Priority
    changed_at: datetime | None  # None: it is as every owner's is
