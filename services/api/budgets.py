"""Budgets: what an owner may spend in a month. The scheduler tells when it does, and then holds."""

from __future__ import annotations

from typing import Any

from services.api import refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.money import money
from services.api.owners import known
from services.api.types import NoQuery
from services.api.types_billing import Budget, NewBudget
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.events import BudgetWritten

BUDGET = sql(__package__, "budget")
BUDGET_WRITE = sql(__package__, "budget_write")
BUDGET_REMOVE = sql(__package__, "budget_remove")


async def show(call: Call[NoQuery, None]) -> Answer:
    owner = await known(call)
    async with call.database.connection() as connection:
        return await _answer(connection, owner)


async def put(call: Call[NoQuery, NewBudget]) -> Answer:
    """Writing it twice is writing it once."""
    owner, asked = await known(call), call.body
    said = (asked.monthly, sorted(set(asked.warn)), asked.hold)

    async def write(connection: Connection) -> Answer:
        if await connection.fetchval(BUDGET_WRITE, owner, *said) is not None:
            await _tell(connection, call, owner, asked.monthly)
        return await _answer(connection, owner)

    return await call.once(write)


async def remove(call: Call[NoQuery, None]) -> Answer:
    owner = await known(call)

    async def write(connection: Connection) -> Answer:
        if await connection.fetchval(BUDGET_REMOVE, owner) is None:
            raise refused.missing("budget")
        await _tell(connection, call, owner, None)
        return Answer(None, 204)

    return await call.once(write)


async def _tell(
    connection: Connection, call: Call[Any, Any], owner: str, monthly: float | None
) -> None:
    fact = BudgetWritten(owner=owner, monthly=monthly, by=call.who.token)
    await announce(connection, fact, source=f"/{owner}")  # which lets the owner see it, too


async def _answer(connection: Connection, owner: str) -> Answer:
    row = await connection.fetchrow(BUDGET, owner)
    if row is None:
        raise refused.missing("budget")
    return Answer(
        Budget(
            owner=row["owner"],
            monthly=row["monthly"],
            warn=row["warn"],
            hold=row["hold"],
            month=row["month"],
            spent=money(row["cost"]),
            reached=row["reached"],
            changed_at=row["changed_at"],
        )
    )
