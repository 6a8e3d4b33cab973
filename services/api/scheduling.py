"""How the queue is to treat what people submit, as rows of jobs say it, and who may ask for it."""

from __future__ import annotations

from collections.abc import Mapping

from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import PRIORITIES, Endpoint, Priority, Scheduling
from shared.problems import Wrong

ALLOWANCE = sql(__package__, "allowance")

Columns = tuple[int, bool, bool, float | None, float | None, float | None]


def columns(endpoint: Endpoint) -> Columns:
    """The last parameters of job_make.sql."""
    asked = endpoint.scheduling
    price = endpoint.gpus.max_price
    place = (PRIORITIES[asked.priority], asked.preemptible, asked.gang)
    return *place, price, asked.start_within, asked.run_at_most


def servable(asked: Scheduling) -> tuple[int, bool, bool, float | None, float | None]:
    """The last parameters of servable_make.sql."""
    place = (PRIORITIES[asked.priority], asked.preemptible, asked.gang)
    return *place, asked.start_within, asked.run_at_most


def named(number: int) -> Priority:
    """The class that is highest of those that are no higher than this.

    >>> named(100), named(50), named(-200)
    ('high', 'normal', 'low')
    """
    found: Priority = "low"
    names: tuple[Priority, ...] = ("normal", "high")
    for name in names:
        if PRIORITIES[name] <= number:
            found = name
    return found


async def highest(database: Database | Connection, owner: str) -> int:
    """The class that the owner's own tokens may ask for at most."""
    rows = await database.fetch(ALLOWANCE, owner)
    return int(rows[0]["highest"]) if rows else PRIORITIES["normal"]


async def too_high(
    database: Database | Connection, owner: str, asked: Mapping[str, Scheduling]
) -> list[Wrong]:
    """What is above the owner's allowance; `asked` by the field that says it."""
    if all(PRIORITIES[each.priority] <= PRIORITIES["low"] for each in asked.values()):
        return []
    return above(owner, await highest(database, owner), asked)


def above(owner: str, highest: int | None, asked: Mapping[str, Scheduling]) -> list[Wrong]:
    """What is above `highest`, the class its tokens may ask for (None: nobody said)."""
    most = PRIORITIES["normal"] if highest is None else highest
    said = f"is above what {owner} may ask for: at most {named(most)}"
    return [
        Wrong(field=field, message=f"{each.priority} {said}")
        for field, each in asked.items()
        if PRIORITIES[each.priority] > most
    ]
