"""Budgets: tells owners what they have spent of theirs, and says of whom nothing more may start.

Any number of schedulers may watch at once: telling is noted where it is written, so each part of a
budget is told once in a month. What runs goes on when a budget is spent; raising it, or a new
month, lets more start.
"""

from __future__ import annotations

from typing import Final

from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.events import BudgetReached, BudgetWarned
from shared.run import Loop, every

WATCH_BUDGETS = sql(__package__, "watch_budgets")
SPENT = sql(__package__, "spent")

WATCH_EVERY: Final = 10.0
"""Seconds between two looks: what an owner lets start in between still starts."""


async def watch(database: Database) -> int:
    """Tell what was newly spent; how many facts that made. It writes nothing where none is."""
    rows = await database.fetch(WATCH_BUDGETS, BudgetWarned.type, BudgetReached.type)
    return len(rows)


def watching(database: Database) -> Loop:
    async def work() -> None:
        await watch(database)

    return every(WATCH_EVERY, work)


async def spent(connection: Connection) -> frozenset[str]:
    """Owners of whom nothing more may start, since this month's budget is spent."""
    return frozenset(row["owner"] for row in await connection.fetch(SPENT))
