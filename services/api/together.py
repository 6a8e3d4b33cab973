"""One statement for many who ask it at the same time: one round trip, and one commit."""

from __future__ import annotations

import asyncio
from asyncio import Future, Task
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple

import asyncpg

from shared.database.pool import ACQUIRE, COMMAND, Collided, Database
from shared.errors import Transient

AT_ONCE: Final = 2  # batches under way: what comes meanwhile is the next one
MOST: Final = 32  # in a batch
SLOW: Final = 0.1  # seconds after which a batch holds up no other
LONGEST: Final = ACQUIRE + COMMAND  # seconds until whoever waits is told to come again


class Asked(NamedTuple):
    order: str
    values: tuple[Any, ...]
    answered: Future[asyncpg.Record]

    def tell(self, said: asyncpg.Record | Exception | None) -> None:
        if self.answered.done():  # whoever asked is gone
            return
        if isinstance(said, Exception):
            self.answered.set_exception(said)
        else:
            assert said is not None
            self.answered.set_result(said)


class Together:
    """`query` answers one row, whatever its values are, and may write.

    A batch is done as a whole or not at all. Where one spoils it, each of them is asked alone, so
    that nobody hears of another's error; and the next are small, so that whoever goes on to spoil
    them costs at most as much again as all that is asked.
    """

    def __init__(self, database: Database, query: str) -> None:
        self._database = database
        self._query = query
        self._waiting: list[Asked] = []
        self._most = MOST
        self._under_way = 0
        self._tasks: set[Task[None]] = set()

    async def row(self, *values: Any, order: str = "") -> asyncpg.Record:
        """What the query answers to these. Raises as Database.row does.

        Batches go by `order`: those that lock the same things take them in the same order.
        """
        asked = Asked(order, values, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._under_way < AT_ONCE:
            self._under_way += 1
            self._begin(self._empty())
        try:
            async with asyncio.timeout(LONGEST):
                return await asked.answered
        except TimeoutError:
            raise Transient("PostgreSQL: it takes too long") from None

    def _begin(self, work: Coroutine[Any, Any, None]) -> Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _empty(self) -> None:
        """One batch after the other, until nobody waits."""
        while batch := self._next():
            await asyncio.wait({self._begin(self._ask(batch))}, timeout=SLOW)
        self._under_way -= 1

    def _next(self) -> list[Asked]:
        here = [asked for asked in self._waiting if not asked.answered.done()]
        batch, self._waiting = here[: self._most], here[self._most :]
        return sorted(batch, key=lambda asked: asked.order)

    async def _ask(self, batch: Sequence[Asked]) -> None:
        try:
            rows = await self._rows(batch)
        except (Collided, asyncpg.PostgresError) as error:
            if len(batch) == 1:
                return batch[0].tell(error)
            self._most = 1
            await asyncio.gather(*(self._ask([asked]) for asked in batch))
        except Exception as error:
            for asked in batch:
                asked.tell(error)
        else:
            self._most = min(MOST, 2 * self._most)
            for asked, row in zip(batch, rows, strict=True):
                asked.tell(row)

    async def _rows(self, batch: Sequence[Asked]) -> Sequence[asyncpg.Record | None]:
        if len(batch) == 1:
            return [await self._database.row(self._query, *batch[0].values)]
        values = [asked.values for asked in batch]
        async with self._database.connection() as connection:
            return await connection.fetchmany(self._query, values)
