"""What routers tell of the demand, with a real PostgreSQL and a clock of our own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from services.router.demand import LOOK, REPEAT, TELL, Demands
from services.router.gate import Gate
from services.router.snapshot import PostgresSource
from services.router.table import Table
from shared.database.pool import Database
from shared.endpoint import Autoscaling, Command, Definition, Endpoint, Serving
from shared.errors import Transient
from shared.ids import JobId
from shared.lifecycle import State
from tests.integration.rows import add_job, add_version
from tests.router.conftest import route

JOB, OTHER = JobId("j1"), JobId("j2")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """One router with gates that the test fills."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock
        self.gates: dict[JobId, Gate] = {}
        self.scaled: list[JobId] = []
        self.demands = Demands(database, lambda: self.scaled, self.gates.get, clock)

    def watch(self, job: JobId = JOB, concurrency: int = 2, waiting: int = 2) -> Gate:
        self.scaled.append(job)
        serving = Serving(concurrency=concurrency, waiting=waiting, wait_seconds=60)
        self.gates[job] = Gate(serving)
        return self.gates[job]

    def looks(self, count: int = 10) -> None:
        for _ in range(count):
            self.clock.now += TELL / count
            self.demands.look()

    async def told(self) -> dict[str, asyncpg.Record]:
        rows = await self.database.fetch(
            "SELECT *, extract(epoch FROM at - busy_at)::float8 AS idle FROM demands"
            " WHERE router = $1",
            self.demands.router,
        )
        return {row["job"]: row for row in rows}


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database, Clock())


async def test_it_tells_the_mean_of_what_is_in_hand_and_of_what_waits(bench: Bench) -> None:
    gate = bench.watch()
    await bench.demands.tell()
    assert await gate.enter()
    bench.looks(5)
    assert await gate.enter()
    waits = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    bench.looks(5)
    await bench.demands.tell()
    row = (await bench.told())[JOB]
    assert (row["inside"], row["waiting"], row["turned_away"]) == (1.5, 0.5, 0)
    gate.leave(0.5)
    assert await waits


async def test_what_was_turned_away_is_told_by_the_second_with_how_long_one_takes(
    bench: Bench,
) -> None:
    gate = bench.watch(concurrency=1, waiting=0)
    await bench.demands.tell()
    async with gate.slot() as admitted:
        assert admitted
        for _ in range(10):
            async with gate.slot() as another:
                assert not another
    bench.looks()
    await bench.demands.tell()
    row = (await bench.told())[JOB]
    assert row["turned_away"] == pytest.approx(10 / TELL)
    assert row["seconds"] == gate.seconds > 0
    bench.looks()
    await bench.demands.tell()
    assert (await bench.told())[JOB]["turned_away"] == 0, "it is told once"


async def test_requests_between_two_looks_keep_a_job_from_being_idle(bench: Bench) -> None:
    gate = bench.watch()
    await bench.demands.tell()
    assert (await bench.told())[JOB]["idle"] is None
    bench.looks()
    assert await gate.enter()
    gate.leave(0.001)
    await bench.demands.tell()
    assert (await bench.told())[JOB]["idle"] == pytest.approx(0, abs=0.01)
    bench.looks(10)
    bench.clock.now += REPEAT
    await bench.demands.tell()
    assert (await bench.told())[JOB]["idle"] == pytest.approx(TELL + REPEAT, abs=0.01)


async def test_of_what_is_idle_it_tells_less_often(bench: Bench) -> None:
    bench.watch()
    await bench.demands.tell()
    first = (await bench.told())[JOB]["at"]
    bench.clock.now += REPEAT / 2
    await bench.demands.tell()
    assert (await bench.told())[JOB]["at"] == first
    bench.clock.now += REPEAT / 2
    await bench.demands.tell()
    assert (await bench.told())[JOB]["at"] > first


async def test_what_was_counted_before_it_was_watched_is_of_no_moment(bench: Bench) -> None:
    gate = bench.watch(concurrency=1, waiting=0)
    assert await gate.enter()
    async with gate.slot() as admitted:
        assert not admitted
    await bench.demands.tell()
    assert (await bench.told())[JOB]["turned_away"] == 0


async def test_jobs_that_are_told_of_no_more_are_forgotten(bench: Bench) -> None:
    bench.watch(JOB)
    bench.watch(OTHER)
    await bench.demands.tell()
    assert set(await bench.told()) == {JOB, OTHER}
    bench.scaled.remove(JOB)
    await bench.demands.tell()
    assert set(await bench.told()) == {OTHER}


async def test_two_routers_tell_beside_each_other_and_who_leaves_takes_its_own_along(
    bench: Bench, database: Database
) -> None:
    other = Bench(database, bench.clock)
    for each in (bench, other):
        each.watch()
        await each.demands.tell()
    await bench.demands.leave()
    assert await bench.told() == {}
    assert set(await other.told()) == {JOB}


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def test_the_loop_goes_on_when_postgresql_was_away_for_a_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.watch()
    tries = 0

    async def away() -> None:
        nonlocal tries
        tries += 1
        bench.clock.now += TELL
        if tries == 1:
            raise Transient("away")

    monkeypatch.setattr(bench.demands, "tell", away)
    monkeypatch.setattr("services.router.demand.TELL", LOOK)
    stopping = asyncio.Event()
    loop = asyncio.create_task(bench.demands.loop(stopping))
    await until(lambda: tries > 1)
    stopping.set()
    await loop


async def test_only_what_is_scaled_by_demand_is_told_of(database: Database) -> None:
    await add_version(database)
    jobs = {}
    for name, scaling in (
        ("cpu", Autoscaling(max=3)),
        ("requests", Autoscaling(max=3, requests=4)),
        ("waiting", Autoscaling(max=3, waiting=4)),
        ("none", None),
    ):
        endpoint = Endpoint(
            name="digits",
            format="proximl",
            entry=Command(lines=("true",)),
            port=80,
            readiness="none",
            autoscaling=scaling,
        )
        await database.execute(
            "INSERT INTO versions (id, project, name, definition)"
            " SELECT $1, seq, $1, $2::jsonb FROM projects",
            name,
            Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,)),
        )
        jobs[name] = await add_job(database, State.RUNNING)
        await database.execute(
            "UPDATE jobs SET version = $2, addresses = '{http://127.0.0.1:1}' WHERE id = $1",
            jobs[name],
            name,
        )
    routes, _, _ = await PostgresSource(database).everything()
    table = Table()
    table.replace(routes, [])
    assert set(table.scaled()) == {jobs["requests"], jobs["waiting"]}
    table.put([route(job=jobs["requests"], scaled=True, state=State.STARTING)])
    assert set(table.scaled()) == {jobs["waiting"]}
