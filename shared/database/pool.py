"""The one seam through which connections to PostgreSQL are had. Nothing in it waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import asyncpg
import msgspec

from shared.errors import Transient

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

ACQUIRE: Final = 2.0  # seconds to wait for a connection before the work counts as refused
COMMAND: Final = 10.0  # seconds that one statement may take
CLOSE: Final = 5.0

TROUBLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement met the end of its connection half way
    asyncpg.InsufficientResourcesError,  # a full disk is one
    asyncpg.PostgresIOError,
    asyncpg.OperatorInterventionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.CannotConnectNowError,
)
"""What PostgreSQL being away, full or busy looks like. It becomes Transient."""


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


class Database:
    """A pool of connections. Errors of the server or the way to it are raised as Transient."""

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
                    "idle_in_transaction_session_timeout": "10000",
                    "statement_timeout": "15000",
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
        try:
            connection = await self._free()
            try:
                yield connection
            finally:
                await self._pool.release(connection)
        except TROUBLE as error:
            raise Transient(f"PostgreSQL: {_said(error)}") from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection whose statements are done together, or not at all. A server that does not
        answer one of them is left at once: to take them back would be to wait for it once more,
        and it does so when it finds us gone."""
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except TimeoutError:
                connection.terminate()
                raise
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()

    async def _free(self) -> Connection:
        try:
            return await self._pool.acquire(timeout=ACQUIRE)
        except TimeoutError as error:
            pool = self._pool
            if pool.get_size() == pool.get_max_size() and not pool.get_idle_size():
                raise Busy("no connection to the database is free") from error
            raise

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self.connection() as connection:
            return await connection.fetch(query, *values)

    async def row(self, query: str, *values: Any) -> asyncpg.Record | None:
        async with self.connection() as connection:
            return await connection.fetchrow(query, *values)

    async def value(self, query: str, *values: Any) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(query, *values)

    async def execute(self, query: str, *values: Any) -> None:
        async with self.connection() as connection:
            await connection.execute(query, *values)
