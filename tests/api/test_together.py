"""One statement for all who ask it at the same time, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from services.api import together
from services.api.together import MOST, Together
from shared.database.pool import Database
from shared.errors import Transient

NOTE = "INSERT INTO notes (name) VALUES ($1::text) RETURNING name, pg_current_xact_id()::text AS by"
SLEEP = "SELECT pg_sleep($1::double precision), $1::double precision AS slept"


@pytest.fixture
async def notes(database: Database) -> Together:
    """Writes down names, which are taken once and not empty."""
    await database.execute("CREATE TABLE notes (name text PRIMARY KEY CHECK (name <> ''))")
    return Together(database, NOTE)


async def asked(notes: Together, *names: str) -> list[Any]:
    """What each is answered: who wrote it down, or the error."""
    said = await asyncio.gather(*map(notes.row, names), return_exceptions=True)
    for name, row in zip(names, said, strict=True):
        assert isinstance(row, BaseException) or row["name"] == name
    return [row if isinstance(row, BaseException) else row["by"] for row in said]


async def written(database: Database) -> list[str]:
    return [row["name"] for row in await database.fetch("SELECT name FROM notes ORDER BY name")]


async def test_those_who_ask_at_once_are_answered_by_one_commit_each_with_its_own(
    notes: Together, database: Database
) -> None:
    names = [f"n{number:02}" for number in range(MOST)]
    by = await asked(notes, *names)
    assert len(set(by)) == 1
    assert await written(database) == names


async def test_more_than_a_batch_takes_are_several(notes: Together) -> None:
    by = await asked(notes, *map(str, range(2 * MOST + 3)))
    assert sorted(Counter(by).values()) == [3, MOST, MOST]


async def test_they_go_by_their_order_and_are_answered_each_its_own(database: Database) -> None:
    ask = Together(database, "SELECT $1::text AS name, clock_timestamp() AS at")
    said = await asyncio.gather(*(ask.row(name, order=name) for name in "caebd"))
    assert "".join(row["name"] for row in said) == "caebd"
    assert [row["name"] for row in sorted(said, key=lambda row: row["at"])] == list("abcde")


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("taken", asyncpg.UniqueViolationError),
        ("", asyncpg.CheckViolationError),
        ("nothing\0", asyncpg.CharacterNotInRepertoireError),  # found by the server
        (object(), asyncpg.DataError),  # found before it is sent
    ],
)
async def test_whoever_spoils_it_is_told_and_nobody_else(
    notes: Together, database: Database, bad: Any, error: type[Exception]
) -> None:
    await asked(notes, "taken")
    said = await asyncio.gather(*map(notes.row, ("a", bad, "b")), return_exceptions=True)
    assert isinstance(said[1], error), said
    assert [said[0]["name"], said[2]["name"]] == ["a", "b"]  # type: ignore[index]
    assert await written(database) == ["a", "b", "taken"]


async def test_after_one_that_was_spoiled_batches_begin_small(notes: Together) -> None:
    await asked(notes, "taken")
    await asked(notes, "a", "taken")
    by = await asked(notes, *map(str, range(12)))
    assert max(Counter(by).values()) < 12
    by = await asked(notes, *(f"m{number}" for number in range(MOST)))
    assert max(Counter(by).values()) > 4  # and grow again


async def test_whoever_is_gone_is_not_waited_for(notes: Together, database: Database) -> None:
    one = asyncio.ensure_future(notes.row("one"))
    two = asyncio.ensure_future(notes.row("two"))
    await asyncio.sleep(0)
    one.cancel()
    assert (await two)["name"] == "two"
    assert one.cancelled()
    assert (await notes.row("three"))["name"] == "three"
    assert await written(database) == ["three", "two"]


async def test_what_takes_long_holds_up_no_later_one(database: Database) -> None:
    ask = Together(database, SLEEP)
    slow = [asyncio.ensure_future(ask.row(1.5)) for _ in range(together.AT_ONCE + 1)]
    for _ in range(3):  # until they have gone
        await asyncio.sleep(0)
    assert (await ask.row(0.0))["slept"] == 0.0
    later = await asyncio.gather(*(ask.row(0.001) for _ in range(5)))
    assert [row["slept"] for row in later] == [0.001] * 5
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_nobody_waits_for_ever(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "LONGEST", 0.05)
    with pytest.raises(Transient, match="too long"):
        await Together(database, SLEEP).row(0.5)


async def test_a_connection_that_ends_is_trouble_for_all_of_a_batch(database: Database) -> None:
    ask = Together(database, "SELECT pg_terminate_backend(pg_backend_pid()), $1::text")
    said = await asyncio.gather(ask.row("a"), ask.row("b"), return_exceptions=True)
    assert [type(error) for error in said] == [Transient, Transient]
    assert (await Together(database, "SELECT $1::text AS name").row("c"))["name"] == "c"
