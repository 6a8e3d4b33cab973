"""Monthly statements: what an owner held in a month, line by line. See docs/billing.md."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from services.api import csv, period, usage
from services.api.answer import Answer
from services.api.call import Call
from services.api.owners import known
from services.api.types import NoQuery
from services.api.types_billing import Statement
from services.api.usage import NOW, Wish
from shared.errors import Invalid

BY: Final = ("owner", "project", "job", "gpu_type", "price")
SETTLED: Final = timedelta(minutes=1)
"""After its end nothing of a month changes: what is held on is cut there, and whatever was written
about before has been committed by then, since no statement and no transaction takes so long."""


async def show(call: Call[NoQuery, None]) -> Answer | web.StreamResponse:
    owner = await known(call)
    month = call.path["month"]
    begins, ends = period.month("month", month)
    now: datetime = await call.database.value(NOW)
    if begins > now:
        raise Invalid("month", "has not begun yet")
    wish = Wish(since=begins, until=min(ends, now), things=BY, owner=owner)
    found = await usage.whole(call.database, wish)
    if csv.wanted(call.request):
        return await usage.document(wish, found, f"statement-{owner}-{month}")
    return Answer(
        Statement(
            owner=owner,
            month=month,
            final=now >= ends + SETTLED,
            gpu_seconds=found.gpu_seconds,
            amount=found.amount,
            lines=found.lines,
        )
    )
