"""One statement for all who ask it at the same time, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import asyncpg
import pytest

from services.api import together
from services.api.together import MOST, SMALL, Together
from shared.database.pool import Database
from shared.errors import Transient

NOTE = "INSERT INTO notes (name) VALUES ($1::text) RETURNING name, pg_current_xact_id()::text AS by"
SLEEP = "SELECT pg_sleep($1::double precision), $1::double precision AS slept"


@pytest.fixture
async def notes(database: Database) -> Together:
    """Writes down names, which are taken once and not empty."""
    await database.execute("CREATE TABLE notes (name text PRIMARY KEY CHECK (name <> ''))")
    return Together(database, NOTE)


async def asked(notes: Together, *names: str, owner: str = "o", size: int | None = 1) -> list[Any]:
    """Which transaction wrote each down, or the error."""
    asking = (notes.row(name, owner=owner, size=size) for name in names)
    said = await asyncio.gather(*asking, return_exceptions=True)
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


@pytest.mark.parametrize("size", [SMALL + 1, None])
async def test_what_is_large_goes_alone(notes: Together, size: int | None) -> None:
    by = await asked(notes, "a", "b", "c", size=size)
    assert len(set(by)) == 3


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
    asking = [notes.row("a", owner="a"), notes.row(bad, owner="bad"), notes.row("b", owner="b")]
    said = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(said[1], error), said
    assert [said[0]["name"], said[2]["name"]] == ["a", "b"]  # type: ignore[index]
    assert await written(database) == ["a", "b", "taken"]


async def test_whoever_spoiled_one_goes_alone_for_a_while(
    notes: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def round_of(*names: str) -> int:
        """In how many commits they are written, of which half are of the one who spoiled one."""
        good, bad = names[::2], names[1::2]
        both = await asyncio.gather(asked(notes, *good), asked(notes, *bad, owner="bad"))
        return len({by for told in both for by in told})

    await asked(notes, "taken")
    await asyncio.gather(asked(notes, "a", "b"), asked(notes, "taken", owner="bad"))
    assert await round_of(*"cdefgh") == 1 + 3
    monkeypatch.setattr(together, "APART", 0.0)
    await asked(notes, "taken", owner="bad")
    assert await round_of(*"ijklmn") == 1


async def test_who_would_have_to_wait_for_its_owner_waits_alone(database: Database) -> None:
    query = "SELECT claim($1, $2) AS claimed, pg_current_xact_id()::text AS by"
    ask = Together(database, query, claims=True)
    async with database.transaction() as other:
        await other.execute("SELECT claim('b', true)")
        asking = {name: asyncio.ensure_future(ask.row(name, owner=name)) for name in "abcd"}
        said = await asyncio.gather(*(asking[name] for name in "acd"))
        assert len({row["by"] for row in said}) == 1
        later = await ask.row("e", owner="e")
        assert later["claimed"]
        assert not asking["b"].done()
    assert (await asking["b"])["claimed"]


async def test_whoever_is_gone_is_not_waited_for(notes: Together, database: Database) -> None:
    one = asyncio.ensure_future(notes.row("one", owner="o"))
    two = asyncio.ensure_future(notes.row("two", owner="o"))
    await asyncio.sleep(0)
    one.cancel()
    assert (await two)["name"] == "two"
    assert one.cancelled()
    assert (await notes.row("three", owner="o"))["name"] == "three"
    assert await written(database) == ["three", "two"]


async def test_what_takes_long_holds_up_no_later_one(database: Database) -> None:
    ask = Together(database, SLEEP)
    slow = [asyncio.ensure_future(ask.row(1.5, owner=owner)) for owner in ("s", "t")]
    for _ in range(3):  # until they have gone
        await asyncio.sleep(0)
    assert (await ask.row(0.0, owner="o"))["slept"] == 0.0
    later = await asyncio.gather(*(ask.row(0.001, owner="o") for _ in range(5)))
    assert [row["slept"] for row in later] == [0.001] * 5
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_nobody_waits_for_ever(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "LONGEST", 0.05)
    with pytest.raises(Transient, match="too long"):
        await Together(database, SLEEP).row(0.5, owner="o")


async def test_a_connection_that_ends_is_trouble_for_all_of_a_batch(database: Database) -> None:
    ask = Together(database, "SELECT pg_terminate_backend(pg_backend_pid()), $1::text")
    said = await asyncio.gather(
        ask.row("a", owner="o"), ask.row("b", owner="o"), return_exceptions=True
    )
    assert [type(error) for error in said] == [Transient, Transient]
    assert (await Together(database, "SELECT $1::text AS name").row("c", owner="o"))["name"] == "c"
