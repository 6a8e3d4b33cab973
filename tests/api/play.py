"""The API beside a scheduler and a target that is only remembered: who asks why, and what is so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from services.scheduler.driver import Phase, Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.queue import values
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared import ids
from shared.database.jobs import PostgresJobs
from shared.endpoint import PRIORITIES, Command, Definition, Endpoint, Gpus, Priority
from shared.events import JobBuilding, JobFact, JobQueued
from shared.ids import JobId
from tests.api.conftest import World

LOCK = "SELECT pg_advisory_lock(hashtextextended('slipway scheduler process', 0))"
OPTIONS = Options(
    policy=Policy(drain=0.0, patience=0.0),
    queue=values.Policy(notice=30.0, kept=0.0),
    again_after=0.0,
)
PROJECTS = {"ann": 1, "bob": 2}


class Play:
    def __init__(self, world: World) -> None:
        self.world = world
        self.database = world.database
        self.driver = FakeDriver()
        self.jobs = PostgresJobs(world.database)
        self.scheduler = Scheduler(self.database, self.driver, target="process", options=OPTIONS)
        self.made = 0

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """The lock is held that the scheduler's process holds while it acts."""
        async with self.database.connection() as connection:
            await connection.execute(LOCK)
            yield
            await connection.execute("SELECT pg_advisory_unlock_all()")

    async def job(
        self,
        *,
        owner: str = "ann",
        gpus: int = 0,
        types: Sequence[str] = (),
        queued: bool = True,
        copies: int = 1,
        priority: Priority = "normal",
        image: str = "sha256:" + "1" * 64,
        max_price: float | None = None,
        **columns: Any,
    ) -> JobId:
        """A job of a version of its own, called web-1, web-2, …; `columns` are more of the row."""
        self.made += 1
        endpoint = Endpoint(
            name="predict",
            format="valohai",
            entry=Command(lines=("serve",)),
            port=8000,
            readiness="listening",
            gpus=Gpus(types=tuple(types), count=gpus, max_price=max_price),
        )
        version, job, name = ids.new("v"), JobId(ids.new("j")), f"web-{self.made}"
        await self.database.execute(
            "INSERT INTO versions (id, project, name, state, definition, images)"
            " VALUES ($1, $2, $1, $5, $3::jsonb, $4::jsonb)",
            version,
            PROJECTS[owner],
            Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,)),
            {"predict": image},
            "ready" if queued else "building",
        )
        row = {
            "id": job,
            "project": PROJECTS[owner],
            "name": name,
            "version": version,
            "endpoint": "predict",
            "target": "process",
            "gpu_types": list(types),
            "gpu_count": gpus,
            "copies": copies,
            "priority": PRIORITIES[priority],
            "max_price": max_price,
            **columns,
        }
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.database.execute(
            f"INSERT INTO jobs ({', '.join(row)}) VALUES ({places})", *row.values()
        )
        if queued:
            await self.say(JobBuilding(job=job))
            await self.say(JobQueued(job=job))
        return job

    async def say(self, fact: JobFact) -> None:
        assert await self.jobs.advance(fact)

    async def turns(self, count: int = 3) -> None:
        for _ in range(count):
            await self.scheduler.turn()
            await self.scheduler.settle()

    async def running(self, **needs: Any) -> JobId:
        job = await self.job(**needs)
        await self.turns()
        assert await self.database.value("SELECT state::text FROM jobs WHERE id=$1", job) in (
            "starting",
            "running",
        )
        return job

    async def machines(self, *counts: int, kind: str = "t4", price: float = 1.0) -> None:
        """GPUs of a type, so many in each machine."""
        for node, count in enumerate(counts):
            for number in range(count):
                await self.database.execute(
                    "INSERT INTO gpus (id, target, type, device, node, price)"
                    " VALUES ($1, 'process', $2, $3, $4, $5)",
                    f"process/{kind}-{node}-{number}",
                    kind,
                    f"{kind}.{node}.{number}",
                    f"n{node}",
                    price,
                )

    def show(self, job: JobId, phase: Phase, **changes: Any) -> None:
        self.driver.show(Replica(job, 1), phase, **changes)

    async def why(self, job: str, as_: str = "ann") -> Any:
        said = await self.world.ask("GET", f"/v1/jobs/{job}/why", as_=as_)
        assert said.status == 200, said
        return said.body
