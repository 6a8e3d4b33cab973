"""Series: the jobs that one command made, one or an array of them; shown, stopped and given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.api import refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.types import Empty, NoQuery
from services.api.types_runs import Series, SeriesJob
from shared.database.jobs import advance_all
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.endpoint import Run
from shared.events import JobFact, JobStopping, JobTerminated
from shared.ids import JobId
from shared.lifecycle import MOVES, State
from shared.target import CLUSTER, kind

SERIES = sql(__package__, "series")
SERIES_LOCK = sql(__package__, "series_lock")

NO_OUTPUTS: Final = "outputs are not kept on this target: write them somewhere else"


async def read(connection: Connection, series: str, only: str | None) -> Series:
    """`only`: whose it has to be. Refused when there is none such."""
    rows = await connection.fetch(SERIES, series, only)
    if not rows:
        raise refused.missing("series")
    return view([dict(row) for row in rows])


def view(rows: Sequence[Mapping[str, Any]]) -> Series:
    first = rows[0]
    same = ("owner", "project", "deployment", "version_name", "endpoint", "target")
    values = {key: first[key] for key in same}
    name = first["name"] if len(rows) == 1 else first["name"].rpartition("/")[0]
    return Series(
        **values,
        id=first["series"],
        name=name,
        command=list(msgspec.convert(first["run"], Run).lines),
        created_at=first["created_at"],
        counts=dict(Counter(row["state"] for row in rows)),
        jobs=[msgspec.convert(row, SeriesJob) for row in rows],
        notes=notes(first["target"]),
    )


def notes(target: str) -> list[str]:
    """What its owner should know."""
    return [NO_OUTPUTS] if kind(target) == CLUSTER else []


async def show(call: Call[NoQuery, None]) -> Answer:
    async with call.database.connection() as connection:
        return Answer(await read(connection, call.path["series"], call.who.only))


async def stop(call: Call[NoQuery, Empty]) -> Answer:
    return await _move_all(call, JobStopping)


async def terminate(call: Call[NoQuery, Empty]) -> Answer:
    return await _move_all(call, JobTerminated)


async def _move_all(
    call: Call[NoQuery, Empty], fact: type[JobStopping] | type[JobTerminated]
) -> Answer:
    """Those of its jobs that can be; the others stay as they are, so that twice is once."""
    series, only = call.path["series"], call.who.only

    async def write(connection: Connection) -> Answer:
        rows = await connection.fetch(SERIES_LOCK, series, only)
        facts: list[JobFact] = [
            fact(job=JobId(row["id"]), attempt=row["attempt"], by=call.who.token)
            for row in rows
            if State(row["state"]) in MOVES[fact].sources
        ]
        await advance_all(connection, facts)
        return Answer(await read(connection, series, only))

    return await call.once(write)
