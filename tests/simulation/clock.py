"""Virtual time for the real SQL: what a database takes for the time is a number that a test sets.

PostgreSQL looks functions up along `search_path`. A schema before its own catalogue has functions of
the same names that read a sequence, which every session sees at once and no rollback puts back. The
migrations run with that path as well, so the defaults of columns follow it, too; tables are made in
the schema itself. Nothing of the platform's own SQL is changed. (Words like CURRENT_TIMESTAMP would
not follow: tests/simulation/test_clock.py holds that nobody writes them.)
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from shared.database.migrate import migrate
from shared.database.pool import Database

BEGINS: Final = datetime(2026, 1, 1, tzinfo=UTC)

SCHEMA: Final = """
CREATE SCHEMA sim;
CREATE UNLOGGED SEQUENCE sim.clock;
CREATE FUNCTION sim.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$
    SELECT timestamptz 'epoch' + pg_sequence_last_value('sim.clock') * interval '1 microsecond'
$$;
CREATE FUNCTION sim.now() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT sim.clock_timestamp()
$$;
CREATE FUNCTION sim.transaction_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT sim.clock_timestamp()
$$;
CREATE FUNCTION sim.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT sim.clock_timestamp()
$$;
"""

SET: Final = "SELECT setval('sim.clock', $1)"


def virtual(url: str) -> str:
    """The URL by which sessions of that database live in virtual time, for whoever opens it.

    They do not wait for the disk, either: what a crash of the machine would lose is not asked here.
    """
    parts = urlsplit(url)
    ours = "search_path=sim,pg_catalog,public&synchronous_commit=off"
    return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, ours)))))


@asynccontextmanager
async def timeless(server: str) -> AsyncIterator[str]:
    """The URL of a database of its own on that server, migrated, where it is BEGINS."""
    name = f"sim_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(server)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            yield await make(urlunsplit(urlsplit(server)._replace(path=f"/{name}")))
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def make(url: str, at: datetime = BEGINS) -> str:
    """Bring an empty database to the newest shape, in virtual time from `at` on; its URL."""
    plain = await asyncpg.connect(url)
    try:
        await plain.execute(SCHEMA)
        await plain.execute(SET, micros(at))
    finally:
        await plain.close()
    async with Database.open(virtual(url)) as database:
        await migrate(database)
    return virtual(url)


class Clock:
    """The time of one database. It stands still unless it is moved."""

    def __init__(self, database: Database, at: datetime = BEGINS) -> None:
        self._database = database
        self.now = at

    async def set(self, at: datetime) -> None:
        """Also to a time before the present one, as wall clocks jump."""
        self.now = at
        await self._database.execute(SET, micros(at))

    async def advance(self, seconds: float) -> datetime:
        await self.set(self.now + timedelta(seconds=seconds))
        return self.now


def micros(at: datetime) -> int:
    """Since 1970, exactly."""
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1)
