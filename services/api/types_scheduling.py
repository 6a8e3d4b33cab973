"""What the API takes and gives about the queue: what owners may have of it, and how they count."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from services.api.types import Ask, Cohort, Give, GpuType, PriorityName
from shared.endpoint import Priority

ALL: Final = "*"
"""In a quota: all types of GPU together."""

MOST: Final = 1_000_000  # GPUs


class NewQuota(Ask, frozen=True, kw_only=True):
    """GPUs that an owner may have of a target: `nominal` always, and `borrow` more of what others
    of its cohort leave unused."""

    nominal: Annotated[int, Meta(ge=0, le=MOST)]
    borrow: Annotated[int, Meta(ge=0, le=MOST)] | None = None  # None: as many as there are
    cohort: Cohort = ""


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

    weight: Annotated[float, Meta(ge=0.000001, le=1_000_000)] = 1.0  # its part of what is shared
    highest: PriorityName = "normal"  # class that its tokens may ask for at most


class Allowance(Give, frozen=True, kw_only=True):
    owner: str
    weight: float
    highest: Priority
    changed_at: datetime | None  # None: it is as every owner's is


class InQueue(Give, frozen=True, kw_only=True):
    """A job that waits. Which one it is, is told to those who may see it."""

    job: str | None
    name: str  # "a job of another owner"
    owner: str | None
    priority: Priority
    preemptible: bool
    gang: bool
    gpu_types: list[str]  # in order of preference; empty: any
    gpu_count: int  # for each copy
    copies: int
    queued_at: datetime
    cause: str | None  # that it waits for, as in `why`; None: nobody has looked at it yet
    ahead: int  # jobs that want some of the same and come first
    starts_in: float | None  # seconds, at the latest, where that is known


class Share(Give, frozen=True, kw_only=True):
    """What an owner has of a target now. Who has little comes first in the queue; what it had of
    late counts there as well."""

    owner: str
    weight: float
    held: dict[str, int]  # GPUs by type
    share: float  # of that type of which it has most, divided by its weight
    waiting: int  # jobs that want GPUs
    quotas: list[Quota]


class Queue(Give, frozen=True, kw_only=True):
    """A target's queue for GPUs. `first` are those that come first; `owners` those that the token
    sees."""

    target: str
    gpus: list[GpuType]
    first: list[InQueue]
    owners: list[Share]


class QueueQuery(Ask, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=200, description="how many of the first")] = 20
