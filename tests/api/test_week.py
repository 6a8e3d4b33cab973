"""Bills of a week with 500 crashes, against the book of a referee: to the microsecond, to the last
digit, whatever they are by."""

from __future__ import annotations

import contextlib
import random
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from services.api.usage import Wish, read
from services.scheduler import budgets
from shared.database.pool import Database
from shared.events import BudgetReached, BudgetWarned
from tests.api.week import Crashed, Flaky, Grown, Interval, Referee, Scheduler, furnish
from tests.simulation.clock import Clock

BEGINS = datetime(2026, 1, 28, 9, 30, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
STEPS = 4_000
BUDGETS = {"ann": 150.0, "bob": 20.0, "eve": 1e9}
MICRO = timedelta(microseconds=1)


class Book:
    """The referee's intervals, cut into pieces of days; and what jobs and GPUs are of."""

    def __init__(self, intervals: list[Interval], now: datetime, rows: list[Any]) -> None:
        self.owners = {row["id"]: (row["owner"], row["name"]) for row in rows}
        self.pieces = [piece for interval in intervals for piece in self._cut(interval, now)]

    def _cut(self, interval: Interval, now: datetime) -> list[dict[str, Any]]:
        since, ends = interval.since, interval.until or now
        owner, project = self.owners[interval.job]
        made = []
        while since < ends:
            midnight = since.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            until = min(ends, midnight)
            made.append(
                {
                    "owner": owner,
                    "project": project,
                    "job": interval.job,
                    "gpu_type": interval.gpu.partition("/")[2].partition("-")[0],
                    "price": interval.price,
                    "day": since.date().isoformat(),
                    "month": since.date().isoformat()[:7],
                    "micros": (until - since) // MICRO,
                    "cost": (until - since) // MICRO * Fraction(Decimal(str(interval.price))),
                }
            )
            since = until
        return made

    def sums(
        self, by: tuple[str, ...], of: Mapping[str, str] = MappingProxyType({})
    ) -> dict[tuple[Any, ...], tuple[int, Fraction]]:
        """Microseconds, and these times the price; of what has these values."""
        found: dict[tuple[Any, ...], tuple[int, Fraction]] = defaultdict(lambda: (0, Fraction(0)))
        for piece in self.pieces:
            if any(piece[name] != value for name, value in of.items()):
                continue
            key = tuple(piece[name] for name in by)
            micros, cost = found[key]
            found[key] = (micros + piece["micros"], cost + piece["cost"])
        return dict(found)


async def test_bills_of_a_week_with_500_crashes_are_what_the_referee_saw(virtual: Database) -> None:
    chance = random.Random(20261121)
    await furnish(virtual, chance, jobs=40, gpus=12)
    jobs = await virtual.fetch(
        "SELECT jobs.id, projects.owner, projects.name FROM jobs"
        " JOIN projects ON projects.seq = jobs.project"
    )
    for owner, monthly in BUDGETS.items():
        await virtual.execute(
            "INSERT INTO budgets (owner, monthly, warn) VALUES ($1, $2, '{0.5, 0.8}')",
            owner,
            monthly,
        )
    clock, flaky = Clock(virtual), Flaky(virtual, chance, 0.4)
    await clock.set(BEGINS)
    referee, scheduler = Referee(virtual), Scheduler(virtual, flaky, chance)
    prices = {row["id"]: row["price"] for row in await virtual.fetch("SELECT id, price FROM gpus")}
    for step in range(STEPS):
        await clock.advance(round(chance.expovariate(STEPS / WEEK.total_seconds()), 6))
        if step == STEPS // 2:  # what was given before keeps the price that it had
            await virtual.execute("UPDATE gpus SET price = price * 2")
            prices = {gpu: price * 2 for gpu, price in prices.items()}
        try:
            asked = await scheduler.step()
        except Crashed as crash:
            asked = crash.gpus if isinstance(crash, Grown) else ()
        await referee.look(clock.now, prices, asked)
        if step % 50 == 0:
            book = Book(referee.book, clock.now, jobs)
            await watched(virtual, flaky, book, clock.now.strftime("%Y-%m"))
    assert sum(flaky.crashes.values()) >= 500
    assert min(flaky.crashes.values()) > 200
    assert clock.now - BEGINS > timedelta(days=6)
    assert len(referee.book) > 200
    assert any(interval.until is None for interval in referee.book)
    await compare(virtual, Book(referee.book, clock.now, jobs), clock.now)


async def watched(virtual: Database, flaky: Database, book: Book, month: str) -> None:
    """Whoever watches may die at it; once one has not, all that is spent is told, and once."""
    for _ in range(50):
        with contextlib.suppress(Crashed):
            await budgets.watch(flaky)
            break
    costs = book.sums(("owner",), {"month": month})
    wanted = {
        (owner, part)
        for owner, monthly in BUDGETS.items()
        for part in (0.5, 0.8, 1.0)
        if (owner,) in costs
        and costs[owner,][1] / 10**6 / 3600 >= Fraction(str(part)) * Fraction(monthly)
    }
    rows = await virtual.fetch(
        "SELECT data FROM events WHERE type = ANY ($1) AND data ->> 'month' = $2",
        [BudgetWarned.type, BudgetReached.type],
        month,
    )
    told = [(row["data"]["owner"], row["data"].get("part", 1.0)) for row in rows]
    assert sorted(told) == sorted(wanted)
    async with virtual.connection() as connection:
        held = await budgets.spent(connection)
    assert held == {owner for owner, part in wanted if part == 1}


async def compare(database: Database, book: Book, now: datetime) -> None:
    for unit, things in (
        (None, ()),
        (None, ("owner", "project", "job")),
        (None, ("owner",)),
        (None, ("gpu_type", "price")),
        ("month", ("owner",)),
        ("month", ("job", "gpu_type", "price")),
        ("day", ("owner", "gpu_type")),
    ):
        wish = Wish(since=BEGINS, until=now, unit=unit, things=things)
        keys = (*[unit][: unit is not None], *things)
        await same(database, wish, book.sums(keys), keys)
    for owner in ("ann", "bob", "eve"):
        wish = Wish(since=FEBRUARY, until=now, things=("job",), owner=owner)
        kept = book.sums(("job",), {"month": "2026-02", "owner": owner})
        await same(database, wish, kept, ("job",))
    for job in ("j000", "j007"):
        wish = Wish(since=BEGINS, until=FEBRUARY, unit="day", things=("job",), job=job)
        kept = book.sums(("day", "job"), {"month": "2026-01", "job": job})
        await same(database, wish, kept, ("day", "job"))


async def same(
    database: Database,
    wish: Wish,
    expected: dict[tuple[Any, ...], tuple[int, Fraction]],
    keys: tuple[str, ...],
) -> None:
    found = await read(database, wish)
    names = ["period" if key in ("day", "month") else key for key in keys]
    lines = {tuple(getattr(line, name) for name in names): line for line in found.lines}
    assert len(lines) == len(found.lines)
    assert {key: line.gpu_seconds * 10**6 for key, line in lines.items()} == {
        key: micros for key, (micros, _) in expected.items()
    }
    for key, line in lines.items():
        assert abs(Fraction(line.amount) - expected[key][1] / 10**6 / 3600) < Fraction(1, 10**6)
    whole = sum((cost for _, cost in expected.values()), Fraction(0)) / 10**6
    assert Fraction(found.amount) == Fraction(round(whole * 10**6 / 3600), 10**6)
    assert sum((line.amount for line in found.lines), Decimal(0)) == found.amount
