"""Nothing about PostgreSQL waits for ever, and its troubles are ours by name."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import asyncpg
import pytest

from shared.database import listen as listening
from shared.database import pool
from shared.database.listen import listen
from shared.database.logs import Line, keep, last
from shared.database.pool import Busy, Database
from shared.errors import Transient
from tests.integration.buses import until

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)

OURS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND (state = 'idle' OR pid = pg_backend_pid())"
)
SIZE = 10  # of a pool
BUNCH, STAY = 16, 2  # that are asked at once, and those of them that are not cancelled


async def test_D03_when_every_connection_is_taken_work_is_refused_soon(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "ACQUIRE", 0.05)
    async with Database.open(database_url, size=1) as database:
        async with database.connection():
            with pytest.raises(Busy, match="no connection to the database is free"):
                await database.value("SELECT 1")
        assert await database.value("SELECT 1") == 1


async def test_D01_connections_that_were_cut_are_replaced(
    database: Database, database_url: str
) -> None:
    operator = await asyncpg.connect(database_url)
    try:
        for _ in range(3):
            assert await database.value("SELECT 1") == 1
            await operator.execute(CUT)
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert await database.value("SELECT 1") == 1
                        break
                    except Transient:
                        await asyncio.sleep(0.01)
    finally:
        await operator.close()


async def test_D02_what_is_not_answered_is_not_waited_for_once_more_to_take_it_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "COMMAND", 3.0)
    clock = asyncio.get_running_loop().time
    async with Database.open(database_url, size=1) as database:
        frozen = await database.value("SELECT pg_backend_pid()")

        async def unanswered() -> None:
            async with database.transaction() as connection:
                os.kill(frozen, signal.SIGSTOP)
                await connection.execute("SELECT 1")

        began = clock()
        try:
            with pytest.raises(Transient):
                await unanswered()
            assert clock() - began < 2 * 3.0
            assert await database.value("SELECT 1") == 1  # on another connection
        finally:
            os.kill(frozen, signal.SIGCONT)


async def test_a_server_that_is_not_there_is_transient() -> None:
    with pytest.raises(Transient):
        async with Database.open("postgresql://nobody@127.0.0.1:1/none"):
            pass


async def test_D05_ten_thousand_cancellations_lose_no_connection_and_mix_up_no_answers(
    database: Database,
) -> None:
    """At any moment: while work waits for a connection, in the middle of a statement, or after."""
    chance, clock = random.Random(5), asyncio.get_running_loop()
    await asyncio.gather(*(database.execute("SELECT pg_sleep(0.01)") for _ in range(SIZE)))

    async def ask(tag: int) -> int:
        return int(await database.value("SELECT $1::int FROM pg_sleep(0.002)", tag))

    cancelled, first = 0, 0
    while cancelled < 10_000:
        tags = range(first, first := first + BUNCH)
        asked = [asyncio.create_task(ask(tag)) for tag in tags]
        for one in asked[STAY:]:
            clock.call_later(chance.uniform(0, 0.004), one.cancel)
        told = await asyncio.gather(*asked, return_exceptions=True)
        left = [isinstance(answer, asyncio.CancelledError) for answer in told]
        assert not any(left[:STAY])
        assert all(
            gone or answer == tag for tag, answer, gone in zip(tags, told, left, strict=True)
        )
        cancelled += sum(left)
    await until(lambda: database._pool.get_idle_size() == SIZE)
    assert database._pool.get_size() == SIZE
    assert await database.value(OURS) == SIZE
    tags = range(2 * SIZE)
    assert await asyncio.gather(*(ask(tag) for tag in tags)) == [*tags]


async def test_json_goes_in_and_comes_back(database: Database) -> None:
    value = {"a": [1, 2.5, None, "ü"], "b": {}}
    assert await database.value("SELECT $1::jsonb", value) == value


async def test_D09_a_listener_hears_and_hears_again_after_a_cut(
    database: Database, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(listening, "AGAIN", 0.01)
    heard, stopping = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(listen(database_url, "news", heard, stopping))
        await until(heard.is_set)  # it listens now
        heard.clear()
        await database.execute("NOTIFY news")
        await until(heard.is_set)
        heard.clear()
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        await until(heard.is_set)  # it may have missed something
        heard.clear()
        await database.execute("NOTIFY news")
        await until(heard.is_set)
        stopping.set()


async def test_D02_a_listener_outlives_a_database_that_stands_still(
    database: Database, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    monkeypatch.setattr(listening, "AGAIN", 0.01)
    monkeypatch.setattr(listening, "LOOK", 0.01)
    monkeypatch.setattr(listening, "TIMEOUT", 1.0)
    heard, stopping = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(listen(database_url, "news", heard, stopping))
        await until(heard.is_set)  # it listens now
        frozen = await database.value(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        heard.clear()
        os.kill(frozen, signal.SIGSTOP)
        try:
            await until(heard.is_set)  # on another connection
        finally:
            os.kill(frozen, signal.SIGCONT)
        stopping.set()


async def test_a_line_that_is_shipped_twice_is_kept_once(database: Database) -> None:
    at = await database.value("SELECT now()")
    lines = [Line(line=n, at=at, stream="stdout", text=f"line {n}") for n in (1, 2, 3)]
    await keep(database, "j1", 1, lines[:2])
    await keep(database, "j1", 1, lines)
    await keep(database, "j1", 2, lines[:1])
    assert await last(database, "j1", 1) == 3
    assert (await last(database, "j1", 2), await last(database, "j2", 1)) == (1, 0)
    assert await database.value("SELECT count(*) FROM logs") == 4
