"""A platform that serves while something is broken, and what has to be true during it and after."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.cluster import check
from tests.cluster.check import JOBS, Place, Rows
from tests.cluster.installed import Installed
from tests.cluster.sight import Sight, lost
from tests.cluster.traffic import LOST, Ask, Served, Tally, Traffic, flowing

WITHIN: Final = 60.0  # seconds until all has to be well again
AROUND: Final = 5.0  # seconds after a router was killed in which it may have had a POST
RATE: Final = 20.0  # requests a second
QUERY: Final = """
import asyncio, asyncpg, json, os
async def main():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    print(json.dumps([dict(row) for row in await connection.fetch(os.environ["QUERY"])]))
asyncio.run(main())
"""


@dataclass
class Drill:
    """`before` is how it was; the rest is known when the drill is over."""

    before: Sight
    traffic: Traffic
    after: Sight | None = None
    took: float = 0.0  # seconds to settle, once nothing was broken any more
    spared: set[str] = field(default_factory=set)  # what the test ended itself, by name
    killed: list[float] = field(default_factory=list)  # when routers were

    def router_killed(self) -> None:
        self.killed.append(self.traffic.now)


@asynccontextmanager
async def drill(place: Place, asks: Collection[Ask]) -> AsyncIterator[Drill]:
    """Break something inside; after it, all has to be as it was, and everybody served."""
    before, _ = await check.settled(place, within=WITHIN)
    async with flowing(list(asks), RATE) as traffic:
        it = Drill(before=before, traffic=traffic)
        yield it
        it.after, it.took = await check.settled(place, within=WITHIN)
    tally = traffic.tally()
    print(f"\n  settled after {it.took:.1f} s; {tally}")
    wrong = [f"{each.status} to a {each.ask.method}" for each in unserved(tally, it.killed)]
    wrong += lost(it.before, it.after, spared=it.spared)
    wrong += await check.written(place)
    assert tally.served, "nobody asked"
    assert not wrong, "; ".join(wrong)


def unserved(tally: Tally, killed: Collection[float]) -> list[Served]:
    """Who was not served, but for POSTs that a router had when it was killed."""
    names = {error.__name__ for error in _kinds(*LOST)}

    def excused(each: Served) -> bool:
        near = any(at - AROUND <= each.sent <= at + AROUND for at in killed)
        return each.ask.method == "POST" and each.status in names and near

    return [each for each in tally.failures if not excused(each)]


def rows(release: Installed) -> Rows:
    """By a program in a pod of the API, which alone may reach the database."""

    async def found() -> list[dict[str, Any]]:
        words = ("exec", "deployment/slipway-api", "-c", "api", "--", "sh", "-c")
        query = f"QUERY={shlex.quote(JOBS)} python3 -c {shlex.quote(QUERY)}"
        return list(json.loads(await release.kubectl(*words, query)))

    return found


def _kinds(*bases: type[BaseException]) -> set[type[BaseException]]:
    found = set(bases)
    for base in bases:
        found |= _kinds(*base.__subclasses__())
    return found
