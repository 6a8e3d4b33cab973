"""What is known of a job when somebody asks why it is as it is."""

from __future__ import annotations

from datetime import datetime

import msgspec

from services.api.types import GpuType, LogLine
from shared.lifecycle import State
from shared.waits import Waits


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A row of why_job.sql; times in seconds."""

    job: str
    name: str
    owner: str
    kind: str
    state: State
    reason: str
    waits: Waits
    attempt: int
    restarts: int
    target: str
    copies: int  # that are wanted
    granted: int  # that may run
    running: int  # that take requests
    types: tuple[str, ...]
    count: int
    max_price: float | None
    priority: int
    run_at_most: float | None
    exit_code: int | None
    since: datetime
    gave_way: bool | None  # it had its place and lost it to another
    waited: float | None  # in the queue so far
    start_in: float | None  # until it has to have its place
    gives_way_in: float | None
    placed: float | None  # since it has its place
    lived: float | None  # from its place to its present state
    version: str
    version_state: str
    version_reason: str
    built: bool  # a builder is at it
    scheduled: bool  # a scheduler acts for its target


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A row of why_holders.sql."""

    job: str
    name: str
    owner: str
    state: State
    priority: int
    count: int
    type: str
    ends: bool  # it is known when
    yields: bool = False  # it was told to give way to the job that is asked about


class First(msgspec.Struct, frozen=True, kw_only=True):
    """A row of why_ahead.sql."""

    job: str
    name: str
    owner: str
    state: State
    priority: int
    count: int
    reason: str


class Builds(msgspec.Struct, frozen=True, kw_only=True):
    """A row of why_builds.sql."""

    owner: str
    waiting: int
    before: int
    building: int
    own: bool
    turn: int


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside that of a job in the queue, or one that waits for more copies."""

    waits: Waits  # its own, or those of the first of its owner's
    behind: int | None = None  # others of its owner's, where the scheduler has not looked at it
    first: tuple[First, ...] = ()
    holders: tuple[Holder, ...] = ()
    stock: tuple[GpuType, ...] = ()
    waited: tuple[float, ...] = ()  # by those who were given GPUs in the last day, the latest first
    span: float = 0.0  # seconds in which those were
    highest: int = 0  # class that its owner may ask for


Lines = tuple[LogLine, ...]
