"""Rows as other rooms would write them, for tests of what is done with them."""

from __future__ import annotations

import msgspec

from shared import ids
from shared.database.pool import Database
from shared.events import FACTS, Fact
from shared.ids import JobId
from shared.lifecycle import State


async def add_version(database: Database) -> None:
    """Owner `acme`, project `shop`, and version `v1` of no deployment."""
    await database.execute("INSERT INTO owners (name) VALUES ('acme')")
    await database.execute("INSERT INTO projects (owner, name) VALUES ('acme', 'shop')")
    await database.execute(
        "INSERT INTO versions (id, project, name, definition)"
        " SELECT 'v1', seq, 'v1', '{}' FROM projects"
    )


async def add_job(database: Database, state: State) -> JobId:
    job = JobId(ids.new("j"))
    await database.execute(
        "INSERT INTO jobs (id, project, name, version, endpoint, target, state)"
        " SELECT $1, seq, $1, 'v1', 'digits', 'process', $2::job_state FROM projects",
        job,
        state,
    )
    return job


async def add_gpus(database: Database, *gpus: str) -> None:
    await database.execute(
        "INSERT INTO gpus (id, target, type, device)"
        " SELECT id, 'process', 'rtx3090', id FROM unnest($1::text[]) AS given (id)",
        list(gpus),
    )


async def facts(database: Database) -> list[Fact]:
    """All that was announced, in the order in which it was written."""
    rows = await database.fetch("SELECT type, source, data FROM events ORDER BY seq")
    assert {row["source"] for row in rows} <= {"/acme/shop"}
    return [msgspec.convert(row["data"], FACTS[row["type"]]) for row in rows]
