"""Every statement is one that the database accepts and somebody uses; and names agree."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from shared.database.pool import Database
from shared.database.versions import VersionState
from shared.lifecycle import State

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for room in ("shared", "services") for path in (ROOT / room).glob("**/sql/*.sql")
)
NAMES = [str(path.relative_to(ROOT)) for path in FILES]


def test_there_are_statements() -> None:
    assert len(FILES) > 20


async def test_the_database_accepts_them_all(database: Database) -> None:
    refused = {}
    async with database.connection() as connection:
        for path, name in zip(FILES, NAMES, strict=True):
            try:
                await connection.prepare(path.read_text("utf-8"))
            except asyncpg.PostgresError as error:
                refused[name] = str(error)
    assert refused == {}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_somebody_uses_it(path: Path) -> None:
    room = path.parents[1]
    beside = f'sql(__package__, "{path.stem}")'
    below = f'sql("{".".join(room.relative_to(ROOT).parts)}", "{path.stem}")'
    assert any(
        (beside if caller.parent == room else below) in caller.read_text("utf-8")
        for caller in room.rglob("*.py")
    )


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_it_is_one_statement_and_says_what_for_and_its_parameters(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("-- ")
    comment = "".join(line for line in text.splitlines() if line.startswith("--"))
    code = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("--"))
    highest = max((n for n in range(1, 30) if f"${n}" in code), default=0)
    assert all(f"${n}" in comment for n in range(1, highest + 1))
    assert Counter(code)[";"] - _quoted(code) <= 1


def _quoted(code: str) -> int:
    """Semicolons within string literals."""
    return sum(part.count(";") for part in code.split("'")[1::2])


@pytest.mark.parametrize(
    ("kind", "states"), [("job_state", State), ("version_state", VersionState)]
)
async def test_the_states_of_the_database_are_those_of_the_code(
    database: Database, kind: str, states: type[State] | type[VersionState]
) -> None:
    rows = await database.fetch(f"SELECT unnest(enum_range(NULL::{kind}))::text AS state")
    assert [row["state"] for row in rows] == [str(state) for state in states]
