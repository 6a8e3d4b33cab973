"""What the API takes and gives about usage, statements and budgets.

What was spent is exact, and so it is a string of decimals. What somebody wrote, a price or a
budget, is the number that they wrote.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from services.api.types import Ask, Give, Paging

Moment = Annotated[
    str,
    Meta(
        max_length=40,
        description="a time with its zone, or a day or month by UTC: 2026-11-21T20:00:00Z, 2026-11",
    ),
]
Seconds = Annotated[Decimal, Meta(description="GPU-seconds, to the microsecond")]
Amount = Annotated[Decimal, Meta(description="money, to the millionth")]


class UsageQuery(Paging, frozen=True, kw_only=True):
    since: Moment = msgspec.field(name="from", default="")  # empty: where this month begins
    until: Moment = msgspec.field(name="to", default="")  # not itself in it; empty: now
    by: Annotated[
        str,
        Meta(
            max_length=200,
            description="what lines are by, with commas between: owner, project, job, target, "
            "gpu_type, price, and day or month; empty: one line for all",
        ),
    ] = "job"
    owner: Annotated[str, Meta(max_length=63)] | None = None
    project: Annotated[str, Meta(max_length=127, description="owner/project")] | None = None
    job: Annotated[str, Meta(max_length=200)] | None = None


class UsageLine(Give, frozen=True, kw_only=True, omit_defaults=True):
    """What lines are not by is not there."""

    period: str | None = None  # the day or month
    owner: str | None = None
    project: str | None = None
    job: str | None = None
    name: str | None = None  # of the job
    target: str | None = None
    gpu_type: str | None = None
    price: float | None = None  # of a GPU for an hour, when it was given
    gpu_seconds: Seconds
    amount: Amount


class Usage(Give, frozen=True, kw_only=True):
    """A page of lines; `gpu_seconds` and `amount` are those of all lines, on whichever page."""

    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")  # all pages have that of the first one
    gpu_seconds: Seconds
    amount: Amount
    items: list[UsageLine]
    next: str | None = None


class Statement(Give, frozen=True, kw_only=True):
    """A month of an owner's. `final`: nothing of it will change any more."""

    owner: str
    month: str
    final: bool
    gpu_seconds: Seconds
    amount: Amount
    lines: list[UsageLine]


class NewBudget(Ask, frozen=True, kw_only=True):
    monthly: Annotated[float, Meta(ge=0, le=1e12)]
    warn: Annotated[
        tuple[Annotated[float, Meta(gt=0, lt=1)], ...],
        Meta(max_length=20, description="parts of it that are told of when they are spent"),
    ] = (0.5, 0.8)
    hold: bool = True  # nothing more starts once it is spent; else it is only told


class Budget(Give, frozen=True, kw_only=True):
    owner: str
    monthly: float
    warn: list[float]
    hold: bool
    month: str  # the present one, by UTC ...
    spent: Amount  # ... and what was spent in it so far
    reached: bool  # it is all spent
    changed_at: datetime
