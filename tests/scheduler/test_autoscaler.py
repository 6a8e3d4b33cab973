"""Scaling by demand with a real PostgreSQL and a clock of our own: what routers told is added up,
what is old counts for nothing, and every copy that comes is admitted by the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from services.router.demand import TELL, Demands
from services.router.gate import Gate
from services.router.snapshot import PostgresSource
from services.router.table import Table
from services.scheduler.autoscaler import FRESH, Autoscaler
from services.scheduler.driver import Replica
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.epoch import Deposed, Epoch
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.endpoint import Autoscaling, Command, Definition, Endpoint, Gpus, Serving
from shared.events import JobPlaced, JobScaled, JobStarted, JobStopping
from shared.ids import JobId
from tests.scheduler.stage import Stage

AFTER = 60


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def watch(self, scaler: Autoscaler, seconds: int, every: int = 20) -> None:
        for _ in range(seconds // every):
            self.now += every
            await scaler.scale()


class Busy(Stage):
    async def scaled(
        self, *, target: str = "process", gpus: int = 0, runs: bool = True, **scaling: Any
    ) -> JobId:
        """A job that has autoscaling, and runs unless told otherwise."""
        job = await self.job(target=target, gpus=gpus)
        given = {"max": 5, "requests": 10, "down_after": AFTER, **scaling}
        endpoint = Endpoint(
            name="predict",
            format="proximl",
            entry=Command(lines=("serve",)),
            port=80,
            readiness="none",
            gpus=Gpus(count=gpus),
            serving=Serving(concurrency=4),
            autoscaling=Autoscaling(**given),
        )
        await self.database.execute(
            "UPDATE versions SET definition = $2::jsonb WHERE id = $1",
            (await self.get(job)).version,
            Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,)),
        )
        if runs:
            await self.say(JobPlaced(job=job))
            await self.say(JobStarted(job=job, address="http://127.0.0.1:1"))
        return job

    async def tells(
        self, job: JobId, router: str = "r1", *, age: float = 0, **demand: float
    ) -> None:
        values = {"inside": 0.0, "waiting": 0.0, "turned_away": 0.0, "seconds": 0.0} | demand
        await self.database.execute(
            "INSERT INTO demands (router, job, inside, waiting, turned_away, seconds, at)"
            " VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() - make_interval(secs => $7))"
            " ON CONFLICT (router, job) DO UPDATE SET inside = excluded.inside,"
            " waiting = excluded.waiting, turned_away = excluded.turned_away,"
            " seconds = excluded.seconds, at = excluded.at",
            router,
            job,
            *values.values(),
            age,
        )

    async def copies(self, job: JobId) -> int:
        return (await self.get(job)).copies


@pytest.fixture
async def busy(database: Database) -> Busy:
    busy = Busy(database)
    await busy.prepare()
    return busy


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scaler(database: Database, clock: Clock) -> Autoscaler:
    return Autoscaler(database, target="process", clock=clock)


async def test_what_all_routers_tell_is_added_up_and_more_copies_are_wanted_at_once(
    busy: Busy, scaler: Autoscaler, database: Database
) -> None:
    job = await busy.scaled()
    await busy.tells(job, "r1", inside=8)
    await busy.tells(job, "r2", inside=7, waiting=8)
    await scaler.scale()
    found = await busy.get(job)
    assert (found.copies, found.granted) == (3, 1), "the queue says which of them may run"
    row = await database.row("SELECT data FROM events WHERE type = $1", JobScaled.type)
    assert row is not None
    assert msgspec.convert(row["data"], JobScaled) == JobScaled(
        job=job, attempt=1, copies=3, by="autoscaler"
    )


async def test_fewer_are_wanted_when_fewer_would_have_done_for_so_long(
    busy: Busy, scaler: Autoscaler, clock: Clock
) -> None:
    job = await busy.scaled()
    await busy.tells(job, inside=40)
    await scaler.scale()
    assert await busy.copies(job) == 4
    await busy.tells(job, inside=15)
    await clock.watch(scaler, AFTER - 20)
    assert await busy.copies(job) == 4
    await clock.watch(scaler, 20)
    assert await busy.copies(job) == 2


async def test_who_has_just_begun_to_act_lets_nobody_have_fewer(
    busy: Busy, scaler: Autoscaler, clock: Clock, database: Database
) -> None:
    job = await busy.scaled()
    await busy.tells(job, inside=40)
    await scaler.scale()
    await busy.tells(job)
    await clock.watch(scaler, AFTER - 20)
    successor = Autoscaler(database, target="process", clock=clock)
    await clock.watch(successor, AFTER)
    assert await busy.copies(job) == 4
    await clock.watch(successor, 20)
    assert await busy.copies(job) == 1
    await busy.tells(job, inside=30)
    await scaler.scale()
    await busy.tells(job)
    clock.now += 2 * AFTER
    await scaler.scale()
    assert await busy.copies(job) == 3, "who acted before, and acts again, was away for a while"


async def test_what_a_router_that_died_has_told_counts_for_nothing_after_a_while(
    busy: Busy, scaler: Autoscaler
) -> None:
    job, forsaken = await busy.scaled(), await busy.scaled()
    await busy.tells(job, "dead", age=FRESH + 1, inside=50)
    await busy.tells(job, "alive", inside=5)
    await busy.tells(forsaken, "dead", age=FRESH + 1, inside=50)
    await scaler.scale()
    assert (await busy.copies(job), await busy.copies(forsaken)) == (1, 1)


async def test_a_job_of_which_nobody_tells_keeps_its_copies_and_is_watched_anew(
    busy: Busy, scaler: Autoscaler, clock: Clock, database: Database
) -> None:
    job = await busy.scaled()
    await busy.tells(job, inside=30)
    await scaler.scale()
    await database.execute("DELETE FROM demands")
    clock.now += 10 * AFTER
    await scaler.scale()
    await busy.tells(job)
    await scaler.scale()
    assert await busy.copies(job) == 3
    await clock.watch(scaler, AFTER)
    assert await busy.copies(job) == 1


async def test_only_what_runs_on_its_target_and_is_scaled_by_demand_is_its_own_to_scale(
    busy: Busy, scaler: Autoscaler, database: Database
) -> None:
    elsewhere = await busy.scaled(target="eu")
    by_cpu = await busy.scaled(requests=None)
    stopping = await busy.scaled()
    await busy.say_now(JobStopping, stopping)
    plain = await busy.job()
    for job in (elsewhere, by_cpu, stopping, plain):
        await busy.tells(job, inside=50)
    await scaler.scale()
    for job in (elsewhere, by_cpu, stopping, plain):
        assert await busy.copies(job) == 1


async def test_looking_again_writes_nothing_more(busy: Busy, scaler: Autoscaler) -> None:
    for _ in range(3):
        await busy.tells(await busy.scaled(), inside=25)
    await scaler.scale()
    written = await busy.written()
    await scaler.scale()
    assert await busy.written() == written


async def test_whose_epoch_is_over_scales_nothing(
    busy: Busy, database: Database, clock: Clock
) -> None:
    job = await busy.scaled()
    await busy.tells(job, inside=50)
    await database.execute("INSERT INTO leaders (target, epoch) VALUES ('process', 2)")
    epoch = Epoch("process")
    epoch.number = 1
    with pytest.raises(Deposed):
        await Autoscaler(database, target="process", epoch=epoch, clock=clock).scale()
    assert await busy.copies(job) == 1


async def test_what_was_told_long_ago_is_forgotten(
    busy: Busy, scaler: Autoscaler, database: Database
) -> None:
    job = await busy.scaled()
    await busy.tells(job, "old", age=700)
    await busy.tells(job, "new")
    await scaler.forget()
    assert [row["router"] for row in await database.fetch("SELECT router FROM demands")] == ["new"]


async def test_from_the_gate_of_a_router_to_copies_that_the_queue_has_room_for(
    busy: Busy, scaler: Autoscaler, database: Database, clock: Clock
) -> None:
    """All that lies between, but the request and the server."""
    driver = FakeDriver()
    options = Options(policy=Policy(drain=0.0, patience=0.0), again_after=0.0)
    scheduler = Scheduler(database, driver, target="process", options=options)
    await busy.has(t4=3)
    job = await busy.scaled(gpus=1, runs=False, requests=2, max=9)

    async def turns() -> None:
        for _ in range(5):
            await scheduler.turn()
            await scheduler.settle()

    async def shows(copies: int, granted: int) -> None:
        await turns()
        found = await busy.get(job)
        held = await database.value("SELECT count(*) FROM allocations WHERE released_at IS NULL")
        assert (found.state, found.copies, found.granted) == ("running", copies, granted)
        assert (held, driver.workloads[Replica(job, 1)].copies) == (granted, granted)

    await shows(copies=1, granted=1)
    table, gate = Table(), Gate(Serving(concurrency=4, waiting=10))
    table.replace((await PostgresSource(database).everything())[0], [])
    demands = Demands(database, table.scaled, lambda _: gate, clock)
    await demands.tell()
    requests = [asyncio.create_task(gate.enter()) for _ in range(7)]
    await asyncio.sleep(0)
    clock.now += TELL
    demands.look()
    await demands.tell()
    await scaler.scale()
    await shows(copies=4, granted=3)  # there is no GPU for the fourth
    for request in requests[:4]:
        assert request.done()
    while not gate.idle:
        gate.leave(1.0)
        await asyncio.sleep(0)
    for _ in range(AFTER // int(TELL) + 2):
        clock.now += TELL
        demands.look()
        await demands.tell()
        await scaler.scale()
    await shows(copies=1, granted=1)
