"""Allowances: how an owner counts in the queue. Operators write them, owners read their own."""

from __future__ import annotations

import asyncpg
import msgspec

from services.api.answer import Answer
from services.api.call import Call
from services.api.owners import known
from services.api.scheduling import ALLOWANCE, named
from services.api.types import NoQuery
from services.api.types_scheduling import Allowance, NewAllowance
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.endpoint import PRIORITIES, Priority
from shared.events import AllowanceWritten

ALLOWANCE_PUT = sql(__package__, "allowance_put")


async def show(call: Call[NoQuery, None]) -> Answer:
    owner = await known(call)
    return Answer(view(owner, await call.database.row(ALLOWANCE, owner)))


async def put(call: Call[NoQuery, NewAllowance]) -> Answer:
    """Writing it twice is writing it once."""
    owner, asked = await known(call), call.body

    async def write(connection: Connection) -> Answer:
        priority = msgspec.convert(asked.highest, Priority)
        values = (owner, asked.weight, PRIORITIES[priority])
        if await connection.fetchval(ALLOWANCE_PUT, *values) is not None:
            fact = AllowanceWritten(
                owner=owner, weight=asked.weight, highest=asked.highest, by=call.who.token
            )
            await announce(connection, fact)
        return Answer(view(owner, await connection.fetchrow(ALLOWANCE, owner)))

    return await call.once(write)


def view(owner: str, row: asyncpg.Record | None) -> Allowance:
    """A row of allowance.sql as people see it."""
    if row is None:
        return Allowance(owner=owner, weight=1.0, highest="normal", changed_at=None)
    return Allowance(
        owner=owner,
        weight=row["weight"],
        highest=named(row["highest"]),
        changed_at=row["changed_at"],
    )
