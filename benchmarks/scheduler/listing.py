"""Pages of a million waiting jobs, by every choice that the API has, over one connection."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from benchmarks.scheduler import doors, world
from benchmarks.scheduler.doors import Asking, Doors

PAGES: Final = 20  # of each choice, one after the other
LIMIT: Final = 100  # jobs of a page


async def pages(home: Path, waiting: int) -> dict[str, list[float]]:
    """The seconds that each page took, by what was asked for."""
    async with doors.opened(home, 1, 0) as opened:
        connection = await asyncpg.connect(opened.database)
        await world.more(connection, max(1, waiting // doors.OWNERS), 0)
        await connection.execute("VACUUM ANALYZE jobs")
        project = str(await connection.fetchval("SELECT name FROM projects LIMIT 1"))
        some = str(await connection.fetchval("SELECT id FROM jobs ORDER BY seq LIMIT 1"))
        await connection.close()
        asking = await Asking.open(opened.ports[0])
        found = {
            what: await _turn(opened, asking, path, owner)
            for what, path, owner in _choices(project, some)
        }
        asking.close()
    return found


def _choices(project: str, job: str) -> list[tuple[str, str, str]]:
    """What is asked for, where, and by whom."""
    mine = f"/projects/owner-1/{project}/jobs"
    return [
        ("all", "/jobs", doors.ADMIN),
        ("a state", "/jobs?state=queued", doors.ADMIN),
        ("a state of none", "/jobs?state=failed", doors.ADMIN),
        ("a name", "/jobs?name=job-7", doors.ADMIN),
        ("an owner's", "/jobs", "owner-1"),
        ("an owner's of a state", "/jobs?state=queued", "owner-1"),
        ("a project's", mine, "owner-1"),
        ("a project's of a state", f"{mine}?state=queued", "owner-1"),
        ("a project's of a name", f"{mine}?name=job-7", "owner-1"),
        ("one", f"/jobs/{job}", doors.ADMIN),
    ]


async def _turn(opened: Doors, asking: Asking, path: str, owner: str) -> list[float]:
    """From page to page; where they end, from the first again."""
    took: list[float] = []
    sign = "&" if "?" in path else "?"
    first = path if path.count("/") == 2 and path != "/jobs" else f"{path}{sign}limit={LIMIT}"
    after: Any = None
    for _ in range(PAGES):
        wanted = f"{first}&after={after}" if after else first
        began = time.perf_counter()
        raw = await asking.ask(doors.request("GET", wanted, opened.tokens[owner]))
        took.append(time.perf_counter() - began)
        after = msgspec.json.decode(raw).get("next")
    return took
