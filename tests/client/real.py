"""The API as it is, on a real database; the test plays the builder and the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from services.api.first import OWNER, PROJECT, first_token
from services.api.main import Config, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.database import applications, logs
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.events import (
    ApplicationReady,
    JobFailed,
    JobMoved,
    JobPlaced,
    JobQueued,
    JobStarted,
    JobStopped,
)
from shared.ids import JobId
from shared.outbox import relay
from shared.run import Loop
from shared.service import Floor
from tests.ports import free_port

JOBS = "SELECT id, attempt, state::text FROM jobs WHERE version = $1"
FETCHED = """
UPDATE sources SET state = 'ready', digest = $1, size = 7, commit = $2, notes = '{no LFS}'
 WHERE state = 'fetching'
"""
READY = """
UPDATE versions SET state = 'ready', images = '{"predict": "sha256:0"}',
       notes = ARRAY['the host''s Python runs the code'] WHERE id = $1
"""

MODEL = """
SELECT versions.id FROM versions JOIN deployments ON deployments.id = versions.deployment
 WHERE deployments.kind = 'model' AND deployments.name = $1 AND versions.name = $2
"""
APPLICATION = "SELECT id, revision FROM applications WHERE name = $1 AND state <> 'removed'"
SERVABLES = "SELECT id, attempt, state::text FROM jobs WHERE application = $1"


async def listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            await writer.wait_closed()
            return


async def _run(loop: Loop, stopping: asyncio.Event) -> None:
    await loop(stopping)


class Real:
    def __init__(self, url: str, token: str, database: Database, blobs: Blobs) -> None:
        self.url, self.token = url, token
        self._blobs = blobs
        self.project = f"{OWNER}/{PROJECT}"
        self._database = database
        self._jobs = PostgresJobs(database)

    @classmethod
    @asynccontextmanager
    async def serve(cls, database: Database, url: str, folder: Path) -> AsyncIterator[Real]:
        port, stopping = free_port(), asyncio.Event()
        config = Config(
            database_url=url,
            api_port=port,
            router_url="http://127.0.0.1:1",
            grace=2.0,
            targets="process,far",
        )
        floor = Floor(database, LocalBus(), Blobs.open(f"file:{folder}"))
        token = await first_token(database)
        async with compose(config, floor) as loops, asyncio.TaskGroup() as group:
            for loop in (*loops, relay(url, database, floor.bus)):
                group.create_task(_run(loop, stopping))
            await listening(port)
            yield cls(f"http://127.0.0.1:{port}", token, database, floor.blobs)
            stopping.set()

    async def build(self, version: str) -> None:
        await self._database.execute(READY, version)

    async def say(self, version: str, kind: str, document: bytes) -> None:
        """What is said about the image of its endpoint, an artifact of that type."""
        kept = await self._blobs.put_bytes(document)
        record = {"predict": {"artifacts": {kind: kept.digest}}}
        await self._database.execute(
            "UPDATE versions SET record = $2 WHERE id = $1", version, record
        )

    async def queue(self, version: str, reason: str) -> None:
        await self.build(version)
        for job, attempt, state in await self._of(version):
            if state in ("submitted", "building"):
                await self._jobs.advance(JobQueued(job=job, attempt=attempt))
        await self._database.execute(
            "UPDATE jobs SET reason = $2 WHERE version = $1", version, reason
        )

    async def run(self, version: str) -> None:
        await self.queue(version, "")
        for job, attempt, _ in await self._of(version):
            await self._jobs.place(JobPlaced(job=job, attempt=attempt))
            started = JobStarted(job=job, attempt=attempt, address="http://127.0.0.1:1")
            await self._jobs.advance(started)

    async def copies(self, job: str, count: int) -> None:
        """So many of its copies take requests."""
        found = await self._jobs.get(JobId(job))
        assert found is not None
        there = tuple(f"http://127.0.0.1:{number}" for number in range(1, count + 1))
        fact = JobMoved(job=found.id, attempt=found.attempt, addresses=there)
        assert await self._jobs.moved(fact)

    async def fail(self, version: str, reason: str) -> None:
        await self._database.execute(
            "UPDATE versions SET state = 'failed', reason = $2 WHERE id = $1", version, reason
        )
        for job, attempt, _ in await self._of(version):
            await self._jobs.advance(JobFailed(job=job, attempt=attempt, reason=reason))

    async def fetched(self, digest: str, commit: str) -> None:
        await self._database.execute(FETCHED, digest, commit)

    async def unfetched(self, reason: str) -> None:
        await self._database.execute(
            "UPDATE sources SET state = 'failed', reason = $1 WHERE state = 'fetching'", reason
        )

    async def stopped(self, job: str) -> None:
        found = await self._jobs.get(JobId(job))
        assert found is not None
        assert await self._jobs.advance(JobStopped(job=found.id, attempt=found.attempt))

    async def finished(self, job: str) -> None:
        await self._database.execute("UPDATE jobs SET state = 'finished' WHERE id = $1", job)

    async def print(self, subject: str, *texts: str) -> None:
        last = await logs.last(self._database, subject, 1)
        lines = [
            logs.Line(line=last + at, at=datetime.now(UTC), stream="stdout", text=text)
            for at, text in enumerate(texts, 1)
        ]
        await logs.keep(self._database, subject, 1, lines)

    async def release(self, model: str, version: str) -> None:
        await self.build(await self._database.value(MODEL, model, version))

    async def break_down(self, model: str, version: str, reason: str) -> None:
        await self.fail(await self._database.value(MODEL, model, version), reason)

    async def settle(self, application: str) -> None:
        ((id, revision),) = await self._database.fetch(APPLICATION, application)
        for job, attempt, state in await self._database.fetch(SERVABLES, id):
            if state in ("submitted", "building"):
                await self._jobs.advance(JobQueued(job=job, attempt=attempt))
            await self._jobs.place(JobPlaced(job=job, attempt=attempt))
            started = JobStarted(job=job, attempt=attempt, address="http://127.0.0.1:1")
            await self._jobs.advance(started)
        fact = ApplicationReady(application=id, name=application, revision=revision)
        async with self._database.connection() as connection:
            assert await applications.ready(connection, fact)

    async def _of(self, version: str) -> list[tuple[JobId, int, str]]:
        rows = await self._database.fetch(JOBS, version)
        return [(JobId(row["id"]), row["attempt"], row["state"]) for row in rows]
