"""What the scheduler's tests stand on: jobs written as the API and the builder would, GPUs, and a
look at what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.scheduler.driver import Replica
from shared import ids
from shared.database.jobs import Job, PostgresJobs, scale
from shared.database.pool import Database
from shared.endpoint import Command, Definition, Endpoint, Gpus
from shared.events import Fact, JobBuilding, JobFact, JobQueued, JobScaled
from shared.ids import JobId

IMAGE = "sha256:" + "1" * 64


class Stage:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = PostgresJobs(database)

    async def prepare(self) -> None:
        await self.database.execute("INSERT INTO owners (name) VALUES ('ada')")
        await self.database.execute("INSERT INTO projects (owner, name) VALUES ('ada', 'mnist')")
        await self.database.execute(
            "INSERT INTO deployments (id, project, name, target) VALUES ('d1', 1, 'web', 'process')"
        )

    async def job(
        self,
        *,
        gpus: int = 0,
        types: Sequence[str] = (),
        max_price: float | None = None,
        image: str = IMAGE,
        queued: bool = True,
        target: str = "process",
        port: int = 8000,
        copies: int = 1,
        owner: str = "ada",
        **columns: Any,
    ) -> JobId:
        """A job of a version of its own, queued as the builder would, and how the queue treats it
        by the `columns` of the table."""
        endpoint = Endpoint(
            name="predict",
            format="valohai",
            entry=Command(lines=("serve",)),
            port=port,
            readiness="listening",
            gpus=Gpus(types=tuple(types), count=gpus, max_price=max_price),
            environment={"MODE": "fast"},
        )
        version, job = ids.new("v"), JobId(ids.new("j"))
        await self.database.execute(
            "INSERT INTO versions (id, project, deployment, name, state, definition, images)"
            " VALUES ($1, 1, 'd1', $1, 'ready', $2::jsonb, $3::jsonb)",
            version,
            Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,)),
            {"predict": image} if image else {},
        )
        await self.database.execute(
            "INSERT INTO jobs"
            " (id, project, name, version, endpoint, target, gpu_types, gpu_count, copies)"
            " SELECT $1, seq, $2, $3, 'predict', $4, $5, $6, $7 FROM projects WHERE owner = $8",
            job,
            f"web/{version}/predict",
            version,
            target,
            list(types),
            gpus,
            copies,
            owner,
        )
        for name, value in columns.items():
            await self.database.execute(f"UPDATE jobs SET {name} = $2 WHERE id = $1", job, value)
        await self.say(JobBuilding(job=job))
        if queued:
            await self.say(JobQueued(job=job))
        return job

    async def owner(self, name: str) -> None:
        """Another one, with a project."""
        await self.database.execute("INSERT INTO owners (name) VALUES ($1)", name)
        await self.database.execute("INSERT INTO projects (owner, name) VALUES ($1, 'p')", name)

    async def later(self, job: JobId, seconds: float) -> None:
        """Let so many seconds more have gone by for it."""
        await self.database.execute(
            "UPDATE jobs SET changed_at = changed_at - given.span, placed_at = placed_at - given.span,"
            " start_by = start_by - given.span, give_way_at = give_way_at - given.span"
            " FROM (SELECT make_interval(secs => $2) AS span) AS given WHERE id = $1",
            job,
            seconds,
        )

    async def said(self, job: JobId, kind: type[Fact]) -> list[Any]:
        """The facts of a kind about a job, in order."""
        rows = await self.database.fetch(
            "SELECT data FROM events WHERE subject = $1 AND type = $2 ORDER BY seq", job, kind.type
        )
        return [msgspec.convert(row["data"], kind) for row in rows]

    async def say(self, fact: JobFact) -> bool:
        return await self.jobs.advance(fact)

    async def say_now(self, kind: type[JobFact], job: JobId) -> bool:
        """The same about its present attempt."""
        return await self.say(kind(job=job, attempt=(await self.get(job)).attempt))

    async def get(self, job: JobId) -> Job:
        found = await self.jobs.get(job)
        assert found is not None
        return found

    async def state(self, job: JobId) -> str:
        return (await self.get(job)).state.value

    async def has(self, **gpus: int) -> None:
        """Give the target so many GPUs of each type."""
        for kind, count in gpus.items():
            for number in range(count):
                await self.database.execute(
                    "INSERT INTO gpus (id, target, type, device) VALUES ($1, 'process', $2, $3)",
                    f"process/{kind}-{number}",
                    kind,
                    str(number),
                )

    async def machines(self, *counts: int, kind: str = "t4") -> None:
        """Give the target machines with so many GPUs each."""
        for node, count in enumerate(counts):
            for number in range(count):
                await self.database.execute(
                    "INSERT INTO gpus (id, target, type, device, node)"
                    " VALUES ($1, 'process', $2, $3, $4)",
                    f"process/{kind}-n{node}-{number}",
                    kind,
                    f"{node}.{number}",
                    f"n{node}",
                )

    async def scale(self, job: JobId, copies: int) -> bool:
        attempt = (await self.get(job)).attempt
        async with self.database.transaction() as connection:
            return await scale(connection, JobScaled(job=job, attempt=attempt, copies=copies))

    async def held(self) -> dict[str, Replica]:
        rows = await self.database.fetch(
            "SELECT gpu, job, attempt FROM allocations WHERE released_at IS NULL"
        )
        return {row["gpu"]: Replica(row["job"], row["attempt"]) for row in rows}

    async def facts(self, job: JobId) -> list[str]:
        """What was announced about a job, shortened: `started`."""
        rows = await self.database.fetch(
            "SELECT type FROM events WHERE subject = $1 ORDER BY seq", job
        )
        return [row["type"].split(".")[2] for row in rows]

    async def lines(self, job: JobId) -> list[str]:
        rows = await self.database.fetch(
            "SELECT text FROM logs WHERE subject = $1 ORDER BY attempt, line", job
        )
        return [row["text"] for row in rows]

    async def age(self, job: JobId, seconds: float) -> None:
        """Let it have been in its state for so much longer."""
        await self.database.execute(
            "UPDATE jobs SET changed_at = changed_at - make_interval(secs => $2) WHERE id = $1",
            job,
            seconds,
        )

    async def written(self) -> Any:
        """Changes whenever any row of ours is written, whatever it says."""
        tables = ("jobs", "events", "allocations", "gpus", "logs", "versions")
        return [
            [
                (row["ctid"], row["xmin"])
                for row in await self.database.fetch(
                    f"SELECT ctid::text, xmin::text FROM {table} ORDER BY ctid"
                )
            ]
            for table in tables
        ]


def metadata(files: dict[str, bytes]) -> Any:
    return msgspec.json.decode(files["/valohai/valohai-metadata.json"])
