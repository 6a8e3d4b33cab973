"""The database takes for the time what it is told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.database.pool import Database
from tests.simulation.clock import BEGINS, Clock, timeless

ROOT = Path(__file__).parents[2]
NAMES = ("now", "clock_timestamp", "transaction_timestamp", "statement_timestamp")


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    async with timeless(postgres_url) as url, Database.open(url) as database:
        yield database


async def test_every_name_of_the_time_and_every_default_is_what_was_set(database):
    clock = Clock(database)
    for at in (
        BEGINS,
        BEGINS + timedelta(days=9, microseconds=1),
        datetime(1999, 1, 1, tzinfo=UTC),
    ):
        await clock.set(at)
        for name in NAMES:
            assert await database.value(f"SELECT {name}()") == at
        made = "INSERT INTO owners (name) VALUES ($1) RETURNING created_at"
        assert await database.value(made, at.isoformat()) == at


async def test_it_moves_by_exactly_as_much_as_it_is_told(database):
    clock = Clock(database)
    await clock.set(BEGINS)
    for _ in range(10):
        await clock.advance(0.000_1)
    passed = await database.value("SELECT now() - $1::timestamptz", BEGINS)
    assert passed == timedelta(milliseconds=1)


async def test_a_rollback_does_not_turn_it_back(database):
    clock = Clock(database)
    with suppress(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO owners (name) VALUES ('ada')")
            await clock.advance(60)
            raise ZeroDivisionError
    assert await database.value("SELECT clock_timestamp()") == BEGINS + timedelta(minutes=1)
    assert await database.value("SELECT count(*) FROM owners") == 0


def test_no_sql_of_ours_asks_for_the_time_by_a_word_that_would_not_follow():
    words = re.compile(r"\b(current_timestamp|current_date|current_time|localtime(stamp)?)\b", re.I)
    asking = [
        path
        for folder in ("shared", "services")
        for path in (ROOT / folder).rglob("*.sql")
        if words.search(path.read_text())
    ]
    assert asking == []
