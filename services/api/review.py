"""What would happen if something were submitted now: the same checks, and nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable

from services.api import gpus
from services.api.source import Plan
from services.api.types import Review
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.errors import Invalid
from shared.problems import Wrong

QUEUES = (
    "This job will queue until GPUs become available. Waiting jobs are not billed; "
    "billing starts when the job gets its GPUs and ends when it is stopped."
)
STARTS = "This job will start as soon as its image is built."
FREE = " It needs no GPU."


async def review(
    database: Database, target: str, planning: Awaitable[Plan], name_wrong: str = ""
) -> Review:
    """`name_wrong` is what is wrong with the name, which only the caller can know."""
    wrongs = [Wrong(field="name", message=name_wrong)] if name_wrong else []
    try:
        plan = await planning
    except Invalid as error:
        return _refused([*wrongs, *error.errors])
    if wrongs:
        return _refused(wrongs)
    return _accepted(plan.definition, await gpus.with_queue(database, target, plan.stock))


def _refused(wrongs: list[Wrong]) -> Review:
    message = "This would be refused: " + "; ".join(f"{w.field} {w.message}" for w in wrongs[:3])
    return Review(ok=False, errors=wrongs, would_queue=False, message=message, price_per_hour=0.0)


def _accepted(definition: Definition, stock: gpus.Stock) -> Review:
    endpoints = definition.endpoints
    waits = gpus.would_wait(endpoints, stock)
    needs = any(endpoint.gpus.count for endpoint in endpoints)
    return Review(
        ok=True,
        errors=[],
        would_queue=waits,
        message=QUEUES if waits else STARTS + ("" if needs else FREE),
        price_per_hour=sum(gpus.price(endpoint, stock) for endpoint in endpoints),
    )
