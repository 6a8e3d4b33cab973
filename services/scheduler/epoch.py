"""The epoch in which this process acts for a target, and what is refused once a newer one begins.

A lock can be lost without a word: its holder may be stopped for minutes and go on as if nothing had
been. So each who begins to act counts the target's epoch up, and whatever is written for the target
names the epoch that it was decided in. The statement that writes holds the row of `leaders` for as
long as it takes: so either it is done before the newer epoch begins, or it does nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.errors import Transient

HOLD = sql(__package__, "hold_epoch")


class Deposed(Transient):
    """Another acts for the target by now."""


class Epoch:
    def __init__(self, target: str) -> None:
        self.target = target
        self.number: int | None = None  # None: nobody leads, as in tests of one part

    def __call__(self) -> int | None:
        return self.number

    def check(self, present: int | None) -> None:
        """Raises Deposed unless `present` is this one."""
        if self.number is not None and self.number != present:
            raise Deposed(f"epoch {self.number} of {self.target} is over: {present} has begun")

    @asynccontextmanager
    async def transaction(self, database: Database) -> AsyncIterator[Connection]:
        """One in which no newer epoch begins. Raises Deposed when one has begun."""
        async with database.transaction() as connection:
            if self.number is not None:
                held = await connection.fetchval(HOLD, self.target, self.number)
                if held is None:
                    raise Deposed(f"epoch {self.number} of {self.target} is over")
            yield connection
