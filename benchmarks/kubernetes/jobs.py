"""Jobs that are built and wait for nothing but to be queued, all of one version and one image."""

from __future__ import annotations

import asyncpg
import msgspec

from benchmarks.kubernetes.kubelet import LABEL
from shared import ids
from shared.endpoint import Command, Definition, Endpoint, Toleration

PROJECT = """
WITH owner AS (INSERT INTO owners (name) VALUES ('bench') RETURNING name),
     project AS (INSERT INTO projects (owner, name) SELECT name, 'many' FROM owner
                 RETURNING seq),
     deployment AS (INSERT INTO deployments (id, project, name, target)
                    SELECT $1, seq, 'many', $2 FROM project RETURNING id)
INSERT INTO versions (id, project, deployment, name, state, definition, images, repository)
SELECT $3, seq, $1, 'v1', 'ready', $4::jsonb, $5::jsonb, $6 FROM project
"""

JOBS = """
INSERT INTO jobs (id, project, name, version, endpoint, target, state)
SELECT unnest($1::text[]), versions.project, 'many/v1/' || unnest($1::text[]), versions.id,
       'predict', $2, 'building'
  FROM versions WHERE id = $3
"""

QUEUE = "UPDATE jobs SET state = 'queued', queued_at = now(), changed_at = now()"
"""All at one moment."""

STOP = "UPDATE jobs SET state = 'stopping', changed_at = now()"

STATES = "SELECT state::text, count(*) AS count FROM jobs GROUP BY state"


def endpoint() -> Endpoint:
    """One that goes to the played node, and to none else."""
    return Endpoint(
        name="predict",
        format="valohai",
        entry=Command(lines=("serve",)),
        port=8000,
        readiness="listening",
        environment={"MODE": "fast"},
        node_labels={LABEL: "true"},
        tolerations=(Toleration(key=LABEL, operator="Exists"),),
    )


class Jobs:
    def __init__(self, database: asyncpg.Connection[asyncpg.Record], target: str) -> None:
        self._database = database
        self._target = target

    async def prepare(self, count: int, image: str, repository: str) -> None:
        version = ids.new("v")
        definition = Definition(source="sha256:" + "0" * 64, endpoints=(endpoint(),))
        await self._database.execute(
            PROJECT,
            *(ids.new("d"), self._target, version),
            msgspec.json.encode(definition).decode(),
            msgspec.json.encode({"predict": image}).decode(),
            repository,
        )
        names = [ids.new("j") for _ in range(count)]
        await self._database.execute(JOBS, names, self._target, version)

    async def queue(self) -> None:
        await self._database.execute(QUEUE)

    async def stop(self) -> None:
        await self._database.execute(STOP)

    async def states(self) -> dict[str, int]:
        return {row["state"]: row["count"] for row in await self._database.fetch(STATES)}
