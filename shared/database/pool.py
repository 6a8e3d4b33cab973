"""The one seam through which connections to PostgreSQL are had. Nothing in it waits for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import asyncpg
import msgspec

from shared.errors import Transient

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

ACQUIRE: Final = 2.0  # seconds to wait for a connection before the work counts as refused
COMMAND: Final = 10.0  # seconds that one statement may take
STATEMENT: Final = 15.0  # the same as PostgreSQL sees it, which ends it even if we are stopped
IDLE: Final = 10.0  # seconds that a transaction may wait for us before PostgreSQL ends it
CLOSE: Final = 5.0
TRIES: Final = 3  # at a transaction that collides with others
REST: Final = 0.05  # seconds at most between them

COLLISIONS: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""PostgreSQL took a transaction back whole, because others were in its way."""

T = TypeVar("T")

TROUBLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement met the end of its connection half way
    asyncpg.InsufficientResourcesError,  # a full disk is one
    asyncpg.PostgresIOError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    *COLLISIONS,
)
"""What PostgreSQL being away, full or busy looks like. It becomes Transient."""


class Collided(Transient):
    """The transaction was taken back whole, and may well pass the next time."""


class Busy(Transient):
    """Every connection is at work, and none came free in time: what is asked takes too long."""


def _said(error: BaseException) -> str:
    """Some say nothing, such as that no connection is free in time."""
    return str(error) or type(error).__name__


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """jsonb travels as JSON bytes that msgspec makes and reads."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda body: msgspec.json.decode(body[1:]),
        format="binary",
    )


async def _leave(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Nothing to put back: what we do ends with its transaction, and no pooled connection listens,
    holds a session lock or changes a setting. asyncpg would ask the server each time."""


async def _repeat(work: Callable[[], Awaitable[T]]) -> T:
    """Only a collision may be repeated: after other trouble it is not known what was done."""
    for _ in range(TRIES - 1):
        try:
            return await work()
        except Collided:
            await asyncio.sleep(random.uniform(0.2, 1.0) * REST)
    return await work()


class Database:
    """A pool of connections. Errors of the server or the way to it are raised as Transient.

    What collides is raised as Collided: by what is repeated, when it has collided `TRIES` times.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, size: int = 10) -> AsyncIterator[Database]:
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=size,
                command_timeout=COMMAND,
                init=_prepare,
                reset=_leave,
                server_settings={
                    "application_name": "slipway",
                    "jit": "off",  # our statements are done before they would be compiled
                    "idle_in_transaction_session_timeout": f"{IDLE * 1000:.0f}",
                    "statement_timeout": f"{STATEMENT * 1000:.0f}",
                },
            )
        except TROUBLE as error:
            raise Transient(f"no connection to PostgreSQL: {_said(error)}") from error
        try:
            yield cls(pool)
        finally:
            try:
                async with asyncio.timeout(CLOSE):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One connection for a few statements. Raises Busy, which is Transient, when none is free
        in time."""
        had = False
        try:
            async with self._pool.acquire(timeout=ACQUIRE) as connection:
                had = True
                yield connection
        except COLLISIONS as error:
            raise Collided(f"PostgreSQL: {_said(error)}") from error
        except TROUBLE as error:
            if not had and isinstance(error, TimeoutError) and self._at_work():
                raise Busy("no connection to the database is free") from error
            raise Transient(f"PostgreSQL: {_said(error)}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection whose statements are done together, or not at all. A server that does not
        answer one of them is left at once: to take them back would be to wait for it once more,
        and it does so when it finds us gone."""
        async with self.connection() as connection, connection.transaction():
            try:
                yield connection
            except TimeoutError:
                connection.terminate()
                raise

    def _at_work(self) -> bool:
        """Whether there are as many connections as there may be, and none has nothing to do."""
        pool = self._pool
        return pool.get_size() == pool.get_max_size() and not pool.get_idle_size()

    async def lend(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` answers, which is begun anew when it collides, up to `TRIES` times in all.

        It is one statement or one transaction, and leaves nothing behind when that is taken back.
        """

        async def once() -> T:
            async with self.connection() as connection:
                return await work(connection)

        return await _repeat(once)

    async def transact(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """`lend`, and a transaction around all that `work` does."""

        async def once() -> T:
            async with self.transaction() as connection:
                return await work(connection)

        return await _repeat(once)

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        return await self.lend(lambda connection: connection.fetch(query, *values))

    async def row(self, query: str, *values: Any) -> asyncpg.Record | None:
        return await self.lend(lambda connection: connection.fetchrow(query, *values))

    async def value(self, query: str, *values: Any) -> Any:
        return await self.lend(lambda connection: connection.fetchval(query, *values))

    async def execute(self, query: str, *values: Any) -> None:
        await self.lend(lambda connection: connection.execute(query, *values))
