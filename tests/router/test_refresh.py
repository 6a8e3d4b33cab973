"""The table follows PostgreSQL: from a snapshot, by events, and without them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest

from services.router.gateway.targets import Application
from services.router.refresh import Refresh
from services.router.snapshot import PostgresSource, Source
from services.router.table import Alias, Place, Route, Table
from shared.bus.local import LocalBus
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.endpoint import Command, Definition, Endpoint, Routes, Serving
from shared.errors import Transient
from shared.events import (
    AliasMoved,
    Event,
    Fact,
    JobMoved,
    JobPlaced,
    JobQueued,
    JobRestarted,
    JobStarted,
    JobStopped,
    JobStopping,
    JobTerminated,
    VersionReady,
)
from shared.ids import JobId, VersionId
from shared.lifecycle import State
from tests.router.conftest import alias, route

JOB = JobId("j000000000001")
PLACE = Place("ann", "shop", "mnist", "20261121.0")
PRODUCTION = PLACE._replace(name="production")

DEFINITION = Definition(
    source="sha256:" + "0" * 64,
    endpoints=(
        Endpoint(
            name="predict",
            format="valohai",
            entry=Command(lines=("run",)),
            port=8000,
            readiness="listening",
            serving=Serving(concurrency=3),
        ),
        Endpoint(name="lone", format="proximl", entry=Routes(routes=()), port=80, readiness="ping"),
    ),
)


def event(fact: Fact) -> Event:
    return Event(
        id=str(uuid.uuid4()),
        source="/ann/shop",
        type=fact.type,
        subject=fact.subject,
        time=datetime.now(UTC),
        data=msgspec.Raw(msgspec.json.encode(fact)),
    )


@pytest.fixture
async def jobs(database: Database) -> PostgresJobs:
    async with database.connection() as connection:
        await connection.execute("INSERT INTO owners (name) VALUES ('ann')")
        project = await connection.fetchval(
            "INSERT INTO projects (owner, name) VALUES ('ann', 'shop') RETURNING seq"
        )
        await connection.execute(
            "INSERT INTO deployments (id, project, name, target) VALUES ('d1', $1, 'mnist', 'here')",
            project,
        )
        for version, name in (("v1", "20261121.0"), ("v2", "20261121.1")):
            await connection.execute(
                "INSERT INTO versions (id, project, deployment, name, definition)"
                " VALUES ($1, $2, 'd1', $3, $4)",
                version,
                project,
                name,
                DEFINITION,
            )
        for job, version in ((JOB, "v1"), ("j000000000002", "v2")):
            await connection.execute(
                "INSERT INTO jobs (id, project, name, version, endpoint, target)"
                " VALUES ($1, $2, $1, $3, 'predict', 'here')",
                job,
                project,
                version,
            )
    return PostgresJobs(database)


class Rig:
    """A refresh at work on a bus of its own."""

    def __init__(self, source: Source) -> None:
        self.table = Table()
        self.bus = LocalBus()
        self.refresh = Refresh(source, self.table)

    async def announce(self, fact: Fact) -> None:
        async with self.bus.announcer() as announce:
            await announce([event(fact)])

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for loop in self.refresh.loops(self.bus):
                group.create_task(loop(stopping))  # type: ignore[arg-type]
            await self.refresh.ready.wait()
            yield
            stopping.set()


def state(table: Table, job: str = JOB) -> State | None:
    found = table.job(job)
    return None if found is None else found.state


async def test_the_table_follows_a_job_through_its_life(
    database: Database, jobs: PostgresJobs
) -> None:
    rig = Rig(PostgresSource(database))
    async with rig.running():
        found = rig.table.endpoint(PLACE, "predict")
        assert found is not None
        assert found.state is State.SUBMITTED
        assert (found.format, found.routes, found.serving.concurrency) == ("valohai", False, 3)

        def stands(expected: State) -> bool:
            return state(rig.table) is expected

        for fact, expected in (
            (JobQueued(job=JOB), State.QUEUED),
            (JobPlaced(job=JOB), State.STARTING),
            (JobStarted(job=JOB, address="http://127.0.0.1:9"), State.RUNNING),
            (JobStopping(job=JOB), State.STOPPING),
            (JobStopped(job=JOB), State.STOPPED),
            (JobRestarted(job=JOB), State.QUEUED),
            (JobPlaced(job=JOB, attempt=2), State.STARTING),
            (JobStarted(job=JOB, attempt=2, address="unix:/run/x"), State.RUNNING),
        ):
            if isinstance(fact, JobPlaced):
                assert await jobs.place(fact)
            else:
                assert await jobs.advance(fact)
            await rig.announce(fact)
            await rig.until(partial(stands, expected))
        found = rig.table.endpoint(PLACE, "predict")
        assert found is not None
        assert found.runs
        await jobs.advance(JobStopping(job=JOB, attempt=2))
        await jobs.advance(JobStopped(job=JOB, attempt=2))
        await jobs.advance(JobTerminated(job=JOB, attempt=2))
        await rig.announce(JobTerminated(job=JOB, attempt=2))
        await rig.until(lambda: rig.table.job(JOB) is None)
        assert rig.table.endpoint(PLACE, "predict") is None


async def test_the_copies_of_a_job_come_and_go(database: Database, jobs: PostgresJobs) -> None:
    rig = Rig(PostgresSource(database))
    one, two = "doorman://10.1.2.3:7200", "doorman://10.1.2.4:7200"

    def addresses() -> tuple[str, ...]:
        found = rig.table.job(JOB)
        return () if found is None else found.addresses

    async with rig.running():
        assert await jobs.advance(JobQueued(job=JOB))
        assert await jobs.place(JobPlaced(job=JOB))
        started = JobStarted(job=JOB, address=one, addresses=(one, two))
        assert await jobs.advance(started)
        await rig.announce(started)
        await rig.until(lambda: addresses() == (one, two))
        for now in ((two,), ()):
            await database.execute("UPDATE jobs SET addresses = $1 WHERE id = $2", list(now), JOB)
            await rig.announce(JobMoved(job=JOB, addresses=now))
            await rig.until(lambda now=now: addresses() == now)  # type: ignore[misc]
        found = rig.table.job(JOB)
        assert found is not None
        assert not found.runs


async def test_an_alias_moves(database: Database, jobs: PostgresJobs) -> None:
    await database.execute(
        "INSERT INTO aliases (deployment, name, version) VALUES ('d1', 'production', 'v1')"
    )
    rig = Rig(PostgresSource(database))

    def version() -> str | None:
        found = rig.table.endpoint(PRODUCTION, "predict")
        return None if found is None else found.version

    async with rig.running():
        assert version() == "v1"
        await database.execute("UPDATE aliases SET version = 'v2'")
        await rig.announce(
            AliasMoved(deployment="d1", alias="production", version=VersionId("v2"), revision=2)
        )
        await rig.until(lambda: version() == "v2")
        await database.execute("DELETE FROM aliases")
        await rig.announce(
            AliasMoved(deployment="d1", alias="production", version=VersionId("v2"), revision=3)
        )
        await rig.until(lambda: version() is None)


async def test_an_event_of_a_version_refreshes_its_jobs(
    database: Database, jobs: PostgresJobs
) -> None:
    rig = Rig(PostgresSource(database))
    async with rig.running():
        await jobs.advance(JobQueued(job=JOB))
        await rig.announce(VersionReady(version=VersionId("v1"), images={}))
        await rig.until(lambda: state(rig.table) is State.QUEUED)


async def test_a_lone_endpoint_has_its_id_alone(database: Database, jobs: PostgresJobs) -> None:
    await database.execute(
        "INSERT INTO versions (id, project, name, definition)"
        " SELECT 'v3', seq, 'v3', $1 FROM projects",
        DEFINITION,
    )
    await database.execute(
        "INSERT INTO jobs (id, project, name, version, endpoint, target)"
        " SELECT 'j3', seq, 'lone', 'v3', 'lone', 'here' FROM projects"
    )
    table = Table()
    await Refresh(PostgresSource(database), table).everything()
    found = table.job("j3")
    assert found is not None
    assert (found.deployment, found.format, found.routes) == (None, "proximl", True)


class FakeSource:
    """Says what it is told, and may be away. Each look takes a turn of the loop, as a real one."""

    def __init__(self, *routes: Route) -> None:
        self.found = {one.job: one for one in routes}
        self.pointing: list[Alias] = []
        self.away = False
        self.looks: list[object] = []
        self.held = asyncio.Event()
        self.held.set()

    async def _look(self, what: object) -> None:
        self.looks.append(what)
        await asyncio.sleep(0)
        if self.away:
            raise Transient("away")

    async def everything(self) -> tuple[list[Route], list[Alias], list[Application]]:
        await self._look("everything")
        return list(self.found.values()), self.pointing, []

    async def routes(self, jobs: Collection[JobId], versions: Collection[VersionId]) -> list[Route]:
        await self._look(set(jobs))
        found = [one for one in self.found.values() if one.job in jobs or one.version in versions]
        await self.held.wait()
        return found

    async def aliases(self, deployments: Collection[str]) -> list[Alias]:
        await self._look(set(deployments))
        return [one for one in self.pointing if one.deployment_id in deployments]

    async def applications(self, ids: Collection[str]) -> list[Application]:
        return []


async def test_a_stopping_job_gets_no_traffic_from_the_moment_its_event_arrives() -> None:
    source = FakeSource(route())
    rig = Rig(source)
    await rig.refresh.everything()
    source.held.clear()  # an older look is still under way and will say `running`
    await rig.refresh.on_event(event(JobStarted(job=JOB, address="http://127.0.0.1:1")))
    looking = asyncio.create_task(rig.refresh.marked())
    await rig.until(lambda: len(source.looks) == 2)
    await rig.refresh.on_event(event(JobStopping(job=JOB)))
    assert state(rig.table) is State.STOPPING
    source.held.set()
    await looking
    assert state(rig.table) is State.STOPPING


async def test_an_old_stop_does_not_close_a_new_attempt() -> None:
    source = FakeSource(route(attempt=2))
    rig = Rig(source)
    await rig.refresh.everything()
    for _ in range(3):
        await rig.refresh.on_event(event(JobStopping(job=JOB, attempt=1)))
    assert state(rig.table) is State.RUNNING


async def test_while_postgresql_is_away_the_table_is_served_as_it_is() -> None:
    source = FakeSource(route())
    source.pointing = [alias()]
    rig = Rig(source)
    await rig.refresh.everything()
    source.away = True
    source.found = {}
    source.pointing = []
    await rig.refresh.on_event(event(JobTerminated(job=JOB)))
    await rig.refresh.on_event(
        event(AliasMoved(deployment="d1", alias="production", version=VersionId("v1"), revision=2))
    )
    with pytest.raises(Transient):
        await rig.refresh.marked()
    with pytest.raises(Transient):
        await rig.refresh.everything()
    assert rig.table.endpoint(PRODUCTION, "predict") is not None
    source.away = False
    await rig.refresh.marked()  # what was marked is still marked
    assert rig.table.job(JOB) is None
    assert rig.table.endpoint(PRODUCTION, "predict") is None


async def test_many_events_are_one_look() -> None:
    source = FakeSource(route())
    rig = Rig(source)
    async with rig.running():
        await rig.until(lambda: bool(source.looks))
        for _ in range(100):
            await rig.refresh.on_event(event(JobQueued(job=JOB)))
        await rig.until(lambda: len(source.looks) > 1)
    assert source.looks == ["everything", {JOB}]


async def test_it_is_not_ready_before_the_first_look_succeeds() -> None:
    source = FakeSource(route())
    source.away = True
    rig = Rig(source)
    stopping = asyncio.Event()
    task = asyncio.create_task(rig.refresh.loop(stopping))
    await rig.until(lambda: bool(source.looks))
    assert not rig.refresh.ready.is_set()
    source.away = False
    async with asyncio.timeout(5):
        await rig.refresh.ready.wait()
    stopping.set()
    await task


async def test_without_any_event_everything_is_looked_at_again_and_again() -> None:
    source = FakeSource(route())
    refresh = Refresh(source, Table(), resync=0.01)
    stopping = asyncio.Event()
    task = asyncio.create_task(refresh.loop(stopping))
    async with asyncio.timeout(5):
        while len(source.looks) < 4:
            await asyncio.sleep(0.005)
    stopping.set()
    await task
    assert set(source.looks) == {"everything"}
