"""What the platform answers about usage, statements and budgets. Sums are exact decimals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from slipway.types import Struct


class UsageLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What its list is not by is not there."""

    period: str | None = None  # the day or month
    owner: str | None = None
    project: str | None = None
    job: str | None = None
    name: str | None = None  # of the job
    target: str | None = None
    gpu_type: str | None = None
    price: float | None = None  # of a GPU for an hour
    gpu_seconds: Decimal
    amount: Decimal


class Usage(Struct, frozen=True, kw_only=True):
    """`gpu_seconds` and `amount` are the sums of all lines."""

    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")
    gpu_seconds: Decimal
    amount: Decimal
    items: list[UsageLine]
    next: str | None = None


class Statement(Struct, frozen=True, kw_only=True):
    """A month of an owner's. `final`: nothing of it will change any more."""

    owner: str
    month: str
    final: bool
    gpu_seconds: Decimal
    amount: Decimal
    lines: list[UsageLine]


class Budget(Struct, frozen=True, kw_only=True):
    owner: str
    monthly: float
    warn: list[float]  # parts of it that are told of when they are spent
    hold: bool = True  # nothing more starts once it is spent
    month: str  # the present one ...
    spent: Decimal  # ... and what was spent in it so far
    reached: bool = False  # it is all spent
    changed_at: datetime
