"""One statement for many who ask it at the same time: one round trip, and one commit.

Owners must not feel each other by it. In a batch nobody waits for what another holds, whoever
spoils one goes alone for a while, and what is large goes alone always.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import Future, Lock, Task
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import asyncpg

from shared.database.pool import ACQUIRE, COMMAND, Collided, Database
from shared.errors import Transient

LANES: Final = 2  # batches under way: what comes meanwhile is the next one
MOST: Final = 16  # in a batch
SMALL: Final = 2048  # bytes of a request that may go into one: all of it is sent in one go
SLOW: Final = 0.1  # seconds after which a batch holds up no other
LONGEST: Final = ACQUIRE + COMMAND  # seconds until whoever waits is told to come again
APART: Final = 10.0  # seconds for which an owner goes alone
KNOWN: Final = 4096  # such owners at most


class Asked(NamedTuple):
    owner: str
    values: tuple[Any, ...]
    answered: Future[asyncpg.Record]

    def tell(self, said: asyncpg.Record | Exception) -> None:
        if self.answered.done():  # whoever asked is gone
            return
        if isinstance(said, Exception):
            self.answered.set_exception(said)
        else:
            self.answered.set_result(said)


class Together:
    """`query` answers one row, whatever its values are, and may write.

    With `claims` it has one parameter more: whether it may wait for others. In a batch it may not;
    where it would have to, it does nothing and answers that it is not `claimed`, and its owner's
    are asked anew, apart from others', one batch at a time. A batch is done as a whole or not at
    all: when it fails, each is asked alone.
    """

    def __init__(self, database: Database, query: str, *, claims: bool = False) -> None:
        self._database = database
        self._query = query
        self._patient = (True,) if claims else ()
        self._hasty = (False,) if claims else ()
        self._waiting: list[Asked] = []
        self._left: defaultdict[str, list[Asked]] = defaultdict(list)  # of owners, by batches
        self._apart: dict[str, float] = {}  # owners, and until when
        self._turns: WeakValueDictionary[str, Lock] = WeakValueDictionary()
        self._tasks: set[Task[None]] = set()
        self._lanes = 0

    async def row(self, *values: Any, owner: str, size: int | None = 0) -> asyncpg.Record:
        """What the query answers to these, asked for that owner by a request of so many bytes
        (None: who knows). Raises as Database.row does."""
        asked = Asked(owner, values, asyncio.get_running_loop().create_future())
        if size is None or size > SMALL or time.monotonic() < self._apart.get(owner, 0.0):
            self._begin(self._alone(asked))
        else:
            self._waiting.append(asked)
            if self._lanes < LANES:
                self._lanes += 1
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
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await asyncio.wait({self._begin(self._all(batch))}, timeout=SLOW)
        self._lanes -= 1

    async def _all(self, batch: Sequence[Asked]) -> None:
        left = await self._ask(batch, self._hasty)
        for asked in left:
            self._left[asked.owner].append(asked)
        for owner in {asked.owner for asked in left}:
            self._begin(self._rest(owner))

    async def _rest(self, owner: str) -> None:
        """What is left of an owner's by now: it may wait, as it holds nothing of others'."""
        async with self._turn(owner):
            left = self._left.pop(owner, [])
            if left[MOST:]:
                self._left[owner] = left[MOST:]
            await self._ask(left[:MOST], self._patient)

    async def _alone(self, asked: Asked) -> None:
        async with self._turn(asked.owner):
            await self._ask([asked], self._patient)

    def _turn(self, owner: str) -> Lock:
        return self._turns.setdefault(owner, Lock())

    async def _ask(self, batch: Sequence[Asked], patience: tuple[bool, ...]) -> list[Asked]:
        """Tells them, but for those that are left, as they would have had to wait."""
        here = [asked for asked in batch if not asked.answered.done()]
        if not here:
            return []
        try:
            rows = await self._rows([(*asked.values, *patience) for asked in here])
        except (Collided, asyncpg.PostgresError) as error:  # nothing of it was done
            self._spoiled(here, error)
            return []
        except Exception as error:
            for asked in here:
                asked.tell(error)
            return []
        both = list(zip(here, rows, strict=True))
        for asked, row in both:
            if row.get("claimed", True):
                asked.tell(row)
        return [asked for asked, row in both if not row.get("claimed", True)]

    async def _rows(self, values: Sequence[tuple[Any, ...]]) -> Sequence[asyncpg.Record]:
        if len(values) == 1:
            one = await self._database.row(self._query, *values[0])
            rows = [] if one is None else [one]
        else:
            async with self._database.connection() as connection:
                rows = await connection.fetchmany(self._query, values)
        if len(rows) != len(values):
            raise RuntimeError(f"{len(rows)} rows for {len(values)} who asked")
        return rows

    def _spoiled(self, batch: Sequence[Asked], error: Exception) -> None:
        if len(batch) == 1:
            self._part(batch[0].owner)
            batch[0].tell(error)
            return
        for asked in batch:
            if self._turn(asked.owner).locked():  # when its turn comes nobody may wait for it
                self._part(asked.owner)
            self._begin(self._alone(asked))

    def _part(self, owner: str) -> None:
        if len(self._apart) >= KNOWN:
            self._apart.clear()
        self._apart[owner] = time.monotonic() + APART
