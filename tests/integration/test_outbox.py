"""The relay: every committed fact reaches the bus, in the order of the log, whatever dies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import outbox
from shared.bus import Announcer
from shared.bus.local import LocalBus
from shared.database import listen as ears
from shared.database.events import announce
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import Event, JobQueued
from shared.ids import JobId
from shared.outbox import Outbox, Row, progress, relay
from shared.run import Loop
from shared.telemetry import FloorTelemetry
from tests.integration.buses import Lab, Listener, LocalLab, amqp_lab, event, listening, until

UNANNOUNCED = "SELECT count(*) FROM events WHERE announced_at IS NULL"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1"
LISTENS = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND state = 'idle'"
LOG = "SELECT data ->> 'job' AS job FROM events WHERE position IS NOT NULL ORDER BY position"


@pytest.fixture(params=["local", "amqp"])
def broker_url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "local" else str(request.getfixturevalue("rabbit").url)


@pytest.fixture
async def lab(broker_url: str | None) -> AsyncIterator[Lab]:
    if broker_url is None:
        yield LocalLab()
    else:
        async with amqp_lab(broker_url) as lab:
            yield lab


class Memory:
    """An announcer whose answers a test decides."""

    def __init__(self, *refused: str) -> None:
        self.heard: list[str] = []
        self.refused = set(refused)
        self.away = False

    async def __call__(self, events: Sequence[Event]) -> list[str]:
        await asyncio.sleep(0)
        if self.away:
            raise Transient("away")
        self.heard += [subject(one) for one in events]
        return [one.id for one in events if one.subject not in self.refused]


class MemoryBus(LocalBus):
    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory

    @asynccontextmanager
    async def announcer(self) -> AsyncIterator[Announcer]:
        yield self._memory


def subject(of: Event) -> str:
    return of.subject


async def commit(database: Database, *jobs: str) -> None:
    async with database.transaction() as connection:
        for job in jobs:
            await announce(connection, JobQueued(job=JobId(job)))


async def everything_announced(database: Database) -> None:
    async with asyncio.timeout(20):
        while await database.value(UNANNOUNCED):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*loops: Loop) -> AsyncIterator[None]:
    stopping = asyncio.Event()

    async def run(loop: Loop) -> None:
        await loop(stopping)

    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(run(loop))
        try:
            yield
        finally:
            stopping.set()


async def test_what_was_committed_before_and_during_its_life_is_announced_in_order(
    lab: Lab, database: Database, database_url: str
) -> None:
    jobs = [f"j{n:03}" for n in range(250)]
    await commit(database, *jobs[:240])
    listener = Listener(lab, "one", at_once=1)
    relayed = relay(database_url, database, lab.bus)
    async with lab.bus.announcer() as tell, listening(tell, listener), running(relayed):
        await everything_announced(database)
        for job in jobs[240:]:
            await commit(database, job)
        await until(lambda: len(listener.seen) == 250)
    assert [subject(one) for one in listener.seen] == jobs
    assert listener.seen[0].fact() == JobQueued(job=JobId("j000"))
    assert listener.seen[0].source == "/"


async def test_a_commit_is_announced_long_before_the_next_look(
    lab: Lab, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "POLL", 600.0)
    listener = Listener(lab, "one")
    relayed = relay(database_url, database, lab.bus)
    async with lab.bus.announcer() as tell, listening(tell, listener), running(relayed):
        for n in range(5):
            told = len(listener.seen)
            await commit(database, f"j{n}")
            await until(lambda told=told: len(listener.seen) > told)  # type: ignore[misc]


async def test_D09_without_notifications_it_still_finds_the_work(
    database: Database, database_url: str
) -> None:
    memory = Memory()
    await database.execute("DROP TRIGGER events_written ON events")
    async with running(relay(database_url, database, MemoryBus(memory))):
        await commit(database, "j1")
        await everything_announced(database)
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        await commit(database, "j2")
        await everything_announced(database)
    assert memory.heard == ["j1", "j2"]


async def test_D09_while_nobody_can_listen_it_looks_and_then_it_listens_again(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of three counts: others run on the machine."""
    monkeypatch.setattr(ears, "AGAIN", 0.05)
    memory = Memory()

    async def took(job: str) -> float:
        began, told = time.monotonic(), len(memory.heard)
        await commit(database, job)
        await until(lambda: len(memory.heard) > told)
        return time.monotonic() - began

    async with (
        ear(database, database_url) as (url, name),
        running(relay(url, database, MemoryBus(memory))),
    ):
        await listens(database, name, 1)
        await database.execute(f"ALTER ROLE {name} CONNECTION LIMIT 0")
        await database.execute(CUT, name)
        await listens(database, name, 0)
        assert min([await took(job) for job in ("j1", "j2", "j3")]) < 2.0
        monkeypatch.setattr(outbox, "POLL", 600.0)
        await database.execute(f"ALTER ROLE {name} CONNECTION LIMIT -1")
        await listens(database, name, 1)
        for job in ("j4", "j5", "j6"):
            await took(job)


async def listens(database: Database, name: str, times: int) -> None:
    async with asyncio.timeout(20):
        while await database.value(LISTENS, name) != times:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def ear(database: Database, database_url: str) -> AsyncIterator[tuple[str, str]]:
    """A URL for a role of its own, which can be shut out by itself; and the role's name."""
    name = f"ear_{uuid.uuid4().hex}"
    await database.execute(f"CREATE ROLE {name} LOGIN")
    try:
        yield database_url.replace("postgres:@", f"{name}:@", 1), name
    finally:
        await database.execute(CUT, name)
        await database.execute(f"DROP ROLE {name}")


async def test_M16_a_late_commit_gets_a_later_place_and_no_reader_misses_it(
    database: Database, database_url: str
) -> None:
    memory = Memory()
    async with running(relay(database_url, database, MemoryBus(memory))):
        held = await asyncpg.connect(database_url)
        try:
            async with held.transaction():
                await held.execute(
                    "INSERT INTO events (type, source, subject, data)"
                    """ VALUES ('slipway.job.queued.v1', '/', 'early', '{"job": "early"}')"""
                )
                await commit(database, "late")
                await everything_announced(database)
                assert [row["job"] for row in await database.fetch(LOG)] == ["late"]
            await until(lambda: len(memory.heard) == 2)
        finally:
            await held.close()
        await everything_announced(database)
    seqs = await database.fetch("SELECT subject FROM events ORDER BY seq")
    assert [row["subject"] for row in seqs] == ["early", "late"]
    assert [row["job"] for row in await database.fetch(LOG)] == ["late", "early"]
    assert memory.heard == ["late", "early"]


async def test_a_reader_that_follows_the_places_sees_every_event_of_many_writers(
    database: Database, database_url: str
) -> None:
    read: list[str] = []

    async def follow() -> None:
        after = 0
        while len(read) < 200:
            rows = await database.fetch(
                "SELECT position, subject FROM events WHERE position > $1 ORDER BY position", after
            )
            read.extend(row["subject"] for row in rows)
            after = rows[-1]["position"] if rows else after
            await asyncio.sleep(0)

    async def write(writer: int) -> None:
        for n in range(20):
            await commit(database, f"{writer}-{n}")

    relays = [relay(database_url, database, MemoryBus(Memory())) for _ in range(2)]
    async with running(*relays), asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for writer in range(10):
            group.create_task(write(writer))
    assert sorted(read) == sorted(f"{writer}-{n}" for writer in range(10) for n in range(20))


async def test_M20_two_relays_announce_each_event_once_while_nothing_fails(
    database: Database, database_url: str
) -> None:
    memories = [Memory(), Memory()]
    jobs = [f"j{n:03}" for n in range(300)]
    relays = [relay(database_url, database, MemoryBus(memory)) for memory in memories]
    async with running(*relays):
        for job in jobs:
            await commit(database, job)
        await everything_announced(database)
    assert sorted(memories[0].heard + memories[1].heard) == jobs


async def test_M20_a_relay_that_hangs_with_the_lock_loses_it_and_another_goes_on(
    database: Database, database_url: str
) -> None:
    hung = asyncio.Event()

    async def hangs(events: Sequence[Event]) -> list[str]:
        hung.set()
        await asyncio.Event().wait()
        return []

    await commit(database, "j1")
    memory = Memory()
    stuck = asyncio.create_task(Outbox(database, FloorTelemetry()).empty(hangs))
    await hung.wait()
    await Outbox(database, FloorTelemetry()).empty(memory)
    assert memory.heard == [], "one at a time"
    # what idle_in_transaction_session_timeout does to it after a while
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE state LIKE 'idle in transaction%' AND datname = current_database()"
    )
    async with asyncio.timeout(20):
        while not memory.heard:
            await Outbox(database, FloorTelemetry()).empty(memory)
    stuck.cancel()
    await asyncio.wait([stuck])
    assert memory.heard == ["j1"]
    assert await database.value(UNANNOUNCED) == 0


async def test_M03_a_relay_that_dies_between_announcing_and_marking_announces_again(
    database: Database,
) -> None:
    memory = Memory()
    told = asyncio.Event()

    async def dies_after(events: Sequence[Event]) -> list[str]:
        await memory(events)
        told.set()
        await asyncio.Event().wait()
        return []

    await commit(database, "j1", "j2")
    dying = asyncio.create_task(Outbox(database, FloorTelemetry()).empty(dies_after))
    await told.wait()
    dying.cancel()
    await asyncio.wait([dying])
    assert await database.value(UNANNOUNCED) == 2
    await Outbox(database, FloorTelemetry()).empty(memory)
    assert memory.heard == ["j1", "j2", "j1", "j2"]
    assert await database.value(UNANNOUNCED) == 0


async def test_M07_while_the_bus_is_away_events_wait_and_then_go_out_in_order(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "LONGEST", 0.05)
    memory = Memory()
    memory.away = True
    jobs = [f"j{n:03}" for n in range(120)]
    async with running(relay(database_url, database, MemoryBus(memory))):
        for job in jobs:
            await commit(database, job)
        assert memory.heard == []
        memory.away = False
        await everything_announced(database)
    assert memory.heard == jobs


async def test_M12_what_the_bus_refuses_waits_and_does_not_hold_up_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 2)
    monkeypatch.setattr(outbox, "REFUSED", 0.0)
    refused = [f"bad{n}" for n in range(5)]
    memory, relayed = Memory(*refused), Outbox(database, FloorTelemetry())
    await commit(database, *refused, "good1", "bad0", "good2")
    await relayed.empty(memory)
    rows = await database.fetch("SELECT subject FROM events WHERE announced_at IS NOT NULL")
    assert [row["subject"] for row in rows] == ["good1", "good2"]
    memory.refused.clear()
    await relayed.empty(memory)
    assert await database.value(UNANNOUNCED) == 0


async def test_operators_see_how_many_events_wait_and_for_how_long(database: Database) -> None:
    telemetry = FloorTelemetry()
    await commit(database, "j1", "j2")
    await Outbox(database, telemetry).report()
    assert b"slipway_outbox_unannounced 2.0" in telemetry.render()
    assert telemetry.registry.get_sample_value("slipway_outbox_lag_seconds")


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_progress_never_passes_an_event_that_may_yet_be_taken(taken: list[bool]) -> None:
    rows = [Row(10 + index, event(str(index))) for index in range(len(taken))]
    have = [row.event.id for row, yes in zip(rows, taken, strict=True) if yes]
    after, refused = progress(rows, have)
    last = max((row.position for row in rows if row.event.id in have), default=rows[-1].position)
    assert after == last
    assert refused == any(row.position <= after and row.event.id not in have for row in rows)
