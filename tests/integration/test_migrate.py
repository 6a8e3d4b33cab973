"""Migrations are applied once each, whoever asks and however many at a time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from shared.database.migrate import migrate, migrations
from shared.database.pool import Database
from tests.conftest import named


@pytest.fixture
async def empty(postgres_url: str) -> AsyncIterator[Database]:
    """A database that nobody has migrated."""
    name = f"empty_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE DATABASE {name}")
    async with Database.open(named(postgres_url, name)) as database:
        yield database
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_the_second_time_there_is_nothing_to_do(empty: Database) -> None:
    assert await migrate(empty) == list(migrations())
    assert await migrate(empty) == []


async def test_of_many_at_once_one_applies_each(empty: Database) -> None:
    done = await asyncio.gather(*(migrate(empty) for _ in range(5)))
    assert sorted(name for names in done for name in names) == sorted(migrations())


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"0001_good": "CREATE TABLE good ()", "0002_bad": "CREATE TABLE good ()"}
    monkeypatch.setattr("shared.database.migrate.migrations", lambda: broken)
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty)
    assert await empty.value("SELECT to_regclass('good')") is None


async def test_a_migration_may_take_longer_than_a_statement_of_every_day(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.database.pool.COMMAND", 2.0)
    monkeypatch.setattr(
        "shared.database.migrate.migrations", lambda: {"9999_slow": "SELECT pg_sleep(2.2)"}
    )
    async with Database.open(database_url) as database:
        assert await migrate(database) == ["9999_slow"]


def test_names_give_the_order() -> None:
    names = list(migrations())
    assert names == sorted(names)
    assert all(name[:4].isdigit() for name in names)
