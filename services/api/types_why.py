"""Why a job is as it is, in parts: what `GET /v1/jobs/{job}/why` answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.api.types import Give, LogLine
from shared.lifecycle import State

Cause = Literal[
    # until it is queued
    "builder",  # it waits for a builder
    "building",  # its image is being made
    # in the queue
    "unseen",  # the scheduler has not looked at it yet
    "away",  # no scheduler acts for its target
    "behind",  # others of its owner's come first, and that is as far as the scheduler looks
    "gpus",  # too few are free
    "order",  # enough are free, and kept for those who come first
    "machine",  # enough are free, but not on one machine
    "quota",  # its owner has as much as it may have
    "price",  # what would do costs more than it allows
    "never",  # its target does not have what it asks for
    "yielding",  # others have been told to give way to it
    "budget",  # its owner has spent the month's budget
    # with its place
    "image",  # its image can't be fetched, or is not here yet
    "crash_loop",  # its server ends again and again
    "no_room",  # its cluster has no machine for it
    "not_ready",  # its server runs and does not answer yet
    "well",  # it answers, or does its work
    "unwell",  # it runs, and something is wrong with it
    "copies",  # it runs, with fewer copies than are wanted
    "giving_way",  # it was told to give way to another
    # at its end
    "stopping",
    "stopped",
    "finished",
    "build_failed",
    "too_late",  # it had no place by the time by which it had to start
    "run_limit",  # it ran for as long as it may
    "failed",
    "terminated",
    "purged",
]


class Short(Give, frozen=True, kw_only=True):
    """What a job that waits is short of. `quota` and `held` are its owner's, where those matter."""

    wants: int  # GPUs of each copy
    copies: int  # that are to start, or to come
    types: list[str]  # that would do, the preferred first; empty: any
    free: dict[str, int]
    there: dict[str, int]
    quota: int | None = None
    held: int | None = None


class Other(Give, frozen=True, kw_only=True):
    """A job that has to do with it. Who it is, is told to those who may see it."""

    job: str | None
    name: str  # "a job of another owner"
    what: Literal["ahead", "gives way"]
    why: str
    gpus: int


class Estimate(Give, frozen=True, kw_only=True):
    """When it may start, in seconds from now.

    `reserved`: in `most` at the latest, unless GPUs are lost. `likely`: from how long others waited
    in the last day, half of them start within `least` and nine of ten within `most`. `unknown`:
    nothing says it.
    """

    kind: Literal["reserved", "likely", "unknown"]
    least: float | None = None
    most: float | None = None
    said: str


class WhyAnswer(Give, frozen=True, kw_only=True):
    """`headline` says it in a line, `details` in some more; the rest is for programs."""

    job: str
    name: str
    state: State
    since: datetime  # it is in that state
    cause: Cause
    headline: str
    details: tuple[str, ...] = ()
    reason: str = ""  # as it is written down
    ahead: int | None = None  # jobs (or builds) that come first; None: it is in no queue
    ahead_at_least: bool = False  # there may be more of them
    others: tuple[Other, ...] = ()
    short: Short | None = None
    estimate: Estimate | None = None  # of one that waits
    sooner: tuple[str, ...] = ()  # what would start it sooner
    lines: tuple[LogLine, ...] = ()  # the last ones of its log, or of its build's, oldest first
