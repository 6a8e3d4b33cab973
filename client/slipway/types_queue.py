"""What the platform answers about its queue. Fields that a newer platform adds are ignored."""

from __future__ import annotations

from datetime import datetime

import msgspec

from slipway.types import GpuType, LogLine


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Short(Struct, frozen=True, kw_only=True):
    """What a job that waits is short of."""

    wants: int  # GPUs of each copy
    copies: int
    types: list[str] = []  # in order of preference; empty: any
    free: dict[str, int] = {}
    there: dict[str, int] = {}
    quota: int | None = None  # of its owner
    held: int | None = None


class Other(Struct, frozen=True, kw_only=True):
    """A job that has to do with it; `job` is None for one that this token may not see."""

    job: str | None = None
    name: str
    what: str  # ahead or gives way
    why: str = ""
    gpus: int = 0


class Estimate(Struct, frozen=True, kw_only=True):
    """When it may start, in seconds: at the latest in `most` (reserved), or likely in that time."""

    kind: str  # reserved, likely or unknown
    least: float | None = None
    most: float | None = None
    said: str = ""


class Why(Struct, frozen=True, kw_only=True):
    """Why a job is in the state that it is in."""

    job: str
    name: str
    state: str
    since: datetime
    cause: str
    headline: str
    details: list[str] = []
    reason: str = ""
    ahead: int | None = None  # jobs (or builds) that come first
    ahead_at_least: bool = False
    others: list[Other] = []
    short: Short | None = None
    estimate: Estimate | None = None
    sooner: list[str] = []  # what would start it sooner
    lines: list[LogLine] = []  # the end of its log, or of its build's


class Quota(Struct, frozen=True, kw_only=True):
    """GPUs that an owner may have of a target: `nominal` always, `borrow` more where others of its
    cohort leave them unused (None: any number)."""

    owner: str
    target: str
    gpu_type: str  # `*`: all types together
    nominal: int
    borrow: int | None = None
    cohort: str = ""
    changed_at: datetime


class Allowance(Struct, frozen=True, kw_only=True):
    """How an owner counts in the queue, and the class that it may ask for at most."""

    owner: str
    weight: float = 1.0
    highest: str = "normal"
    changed_at: datetime | None = None


class InQueue(Struct, frozen=True, kw_only=True):
    job: str | None = None
    name: str
    owner: str | None = None
    priority: str = "normal"
    preemptible: bool = False
    gang: bool = False
    gpu_types: list[str] = []
    gpu_count: int = 0
    copies: int = 1
    queued_at: datetime
    cause: str | None = None
    ahead: int = 0
    starts_in: float | None = None


class Share(Struct, frozen=True, kw_only=True):
    owner: str
    weight: float = 1.0
    held: dict[str, int] = {}
    share: float = 0.0
    waiting: int = 0
    quotas: list[Quota] = []


class Queue(Struct, frozen=True, kw_only=True):
    """A target's queue: those that come first, and what owners have."""

    target: str
    gpus: list[GpuType] = []
    first: list[InQueue] = []
    owners: list[Share] = []
