"""Any intervals, any window: what is billed is what a few lines of Python say, and cutting it at any
moment loses nothing and counts nothing twice."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from services.api.usage import Lines, Wish, read
from shared.database.pool import Database
from tests.api.week import furnish

EDGES = [
    datetime(2024, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),  # a leap day
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),  # when Europe's clocks go forward
    datetime(2024, 3, 31, 2, 0, 0, 1, tzinfo=UTC),
    datetime(2024, 4, 1, tzinfo=UTC),
    datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
]
MICRO = timedelta(microseconds=1)
HOLD = """
INSERT INTO allocations (gpu, job, attempt, held_at, released_at, price)
VALUES ($1, $2, 1, $3, $4, $5)
"""


def moment(chance: random.Random) -> datetime:
    """An edge, just beside one, or any other."""
    near = chance.choice(EDGES) + chance.choice((-1, 0, 0, 0, 1)) * MICRO
    far = EDGES[0] + timedelta(
        seconds=chance.randint(0, 400 * 86_400), microseconds=chance.randint(0, 999_999)
    )
    return chance.choice((near, near, far))


def inside(holds: list[tuple[datetime, datetime, str]], since: datetime, until: datetime) -> int:
    """Microseconds of the holds within a window."""
    spans = (min(end, until) - max(begin, since) for begin, end, _ in holds)
    return sum(max(0, span // MICRO) for span in spans)


async def test_any_window_of_any_intervals_is_what_it_should_be(database: Database) -> None:
    chance = random.Random(7)
    await furnish(database, chance, jobs=6, gpus=60)
    gpus = [row["id"] for row in await database.fetch("SELECT id FROM gpus ORDER BY id")]
    holds = []
    for gpu in gpus:
        begin, end = sorted((moment(chance), moment(chance)))
        job = f"j{chance.randrange(6):03}"
        price = chance.choice((0.1, 0.333333, 2.0))
        await database.execute(HOLD, gpu, job, begin, end, price)
        holds.append((begin, end, job))
    for _ in range(12):
        first, cut, last = sorted(moment(chance) for _ in range(3))
        whole, left, right = [
            await ask(database, since, until)
            for since, until in ((first, last), (first, cut), (cut, last))
        ]
        assert whole.gpu_seconds * 10**6 == inside(holds, first, last)
        assert whole.gpu_seconds == left.gpu_seconds + right.gpu_seconds
        for unit in ("day", "month"):
            parts = await ask(database, first, last, unit, ("job",))
            assert (parts.gpu_seconds, parts.amount) == (whole.gpu_seconds, whole.amount)
            await check(parts, unit, holds, first, last)


async def ask(
    database: Database,
    since: datetime,
    until: datetime,
    unit: str | None = None,
    things: tuple[str, ...] = (),
) -> Lines:
    return await read(database, Wish(since=since, until=until, unit=unit, things=things))


async def check(
    parts: Lines,
    unit: str,
    holds: list[tuple[datetime, datetime, str]],
    since: datetime,
    until: datetime,
) -> None:
    """Each line is of one job within one day or month, and none is of nothing."""
    for line in parts.lines:
        assert line.period is not None
        begins = datetime.fromisoformat(f"{line.period}-01"[:10]).replace(tzinfo=UTC)
        ends = begins + timedelta(days=1)
        if unit == "month":
            ends = (begins + timedelta(days=31)).replace(day=1)
        mine = [hold for hold in holds if hold[2] == line.job]
        expected = inside(mine, max(begins, since), min(ends, until))
        assert line.gpu_seconds * 10**6 == expected > 0
    assert sum((line.amount for line in parts.lines), Decimal(0)) == parts.amount
