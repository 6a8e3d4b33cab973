"""The loop: every version ends once, whoever dies, stalls or stops in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.builder import claims
from services.builder.builder import Builder, Make
from services.builder.claims import Built, Claim, Failed
from services.builder.logbook import Write
from shared.database import versions
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.endpoint import Definition
from shared.errors import Invalid, Permanent, Transient
from shared.events import Event, JobRestarted, JobStopped, JobStopping
from shared.ids import JobId, VersionId
from tests.builder import made

DEFINITION = Definition(source="sha256:" + "a" * 64, endpoints=(made.endpoint(),))
IMAGES = {"greet": "sha256:" + "b" * 64}
EVENT = Event(
    id="1",
    source="/",
    type="t",
    subject="v1",
    time=datetime.now(UTC),
    data=b"{}",  # type: ignore[arg-type]
)


async def well(held: Claim, folder: Path, write: Write) -> Built:
    write("all is well", "stdout")
    return Built(images=IMAGES, notes=("a note",))


def fails(error: Exception) -> Make:
    async def make(held: Claim, folder: Path, write: Write) -> Built:
        raise error

    return make


class Slow:
    """A build that goes on until it is let go, and says when it has begun."""

    def __init__(self) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.folder: Path | None = None

    async def __call__(self, held: Claim, folder: Path, write: Write) -> Built:
        self.folder = folder
        write("begun", "stdout")
        self.begun.set()
        await self.go.wait()
        return Built(images=IMAGES)


@asynccontextmanager
async def running(builder: Builder) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(builder.loop(stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await true():
            await asyncio.sleep(0.01)


async def ended(database: Database, version: str = "v1") -> None:
    async def over() -> bool:
        return str((await made.version(database, version))["state"]) != "building"

    await until(over)


@pytest.fixture
def builder_of(database: Database, tmp_path: Path) -> Callable[..., Builder]:
    def build(make: Make, **settings: float) -> Builder:
        given = {"look_every": 0.05, "drain": 0.0} | settings
        return Builder(database, make, tmp_path, **given)  # type: ignore[arg-type]

    return build


BuilderOf = Callable[..., Builder]


async def test_a_version_becomes_ready_and_its_jobs_queue(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION, jobs=2)
    async with running(builder_of(well)):
        await ended(database)
    version = await made.version(database)
    assert (version["state"], version["images"], version["notes"]) == ("ready", IMAGES, ["a note"])
    assert version["lease"] is None
    assert await made.facts(database) == [
        "job building v1-job0",
        "job building v1-job1",
        "version ready v1",
        "job queued v1-job0",
        "job queued v1-job1",
    ]
    assert await made.log_text(database) == ["all is well", "ready"]


async def test_a_version_that_was_just_submitted_is_not_looked_for_in_vain(
    database: Database, builder_of: BuilderOf
) -> None:
    builder = builder_of(well, look_every=60.0)
    async with running(builder):
        await asyncio.sleep(0)
        await made.submitted(database, DEFINITION)
        await builder.on_version_submitted(EVENT)
        await ended(database)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Invalid("source", "is not a tar"), "source: is not a tar"),
        (Permanent("blob sha256:… is damaged"), "blob sha256:… is damaged"),
        (Invalid("", "NUL \0 and \x1b[31mred"), "NUL  and red"),
    ],
)
async def test_what_can_not_be_built_fails_with_its_reason(
    database: Database, builder_of: BuilderOf, error: Exception, reason: str
) -> None:
    jobs = await made.submitted(database, DEFINITION)
    async with running(builder_of(fails(error))):
        await ended(database)
    version = await made.version(database)
    assert (version["state"], version["reason"]) == ("failed", reason)
    job = await PostgresJobs(database).get(jobs[0])
    assert job is not None
    assert (job.state, job.reason) == ("failed", reason)
    assert (await made.log_text(database))[-1] == f"failed: {reason}"


async def test_passing_trouble_is_tried_again_however_often(
    database: Database, builder_of: BuilderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.builder.outcome.PAUSE", 0.0)
    tries = 0

    async def make(held: Claim, folder: Path, write: Write) -> Built:
        nonlocal tries
        tries += 1
        if tries <= 30:
            raise Transient("the blob store is away")
        return Built(images=IMAGES)

    await made.submitted(database, DEFINITION)
    async with running(builder_of(make)):
        await ended(database)
    assert (await made.version(database))["state"] == "ready"


async def test_why_a_version_waits_is_told_while_it_waits(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)

    async def reasons() -> list[str]:
        told = "SELECT reason FROM versions UNION ALL SELECT reason FROM jobs"
        return [row["reason"] for row in await database.fetch(told)]

    async with running(builder_of(fails(Transient("push: the registry is away")))):

        async def met() -> bool:
            return bool((await made.version(database))["troubles"])

        await until(met)
    assert await reasons() == ["push: the registry is away"] * 2
    assert (await made.version(database))["state"] == "building"
    await database.execute("UPDATE versions SET lease_until = now()")
    async with running(builder_of(well)):
        await ended(database)
    assert await reasons() == ["", ""]


async def test_trouble_that_does_not_pass_is_told_and_ends_the_version(
    database: Database, builder_of: BuilderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.builder.outcome.PAUSE", 0.0)
    jobs = await made.submitted(database, DEFINITION)
    async with running(builder_of(fails(Transient("push: the registry is away")), patience=0.0)):
        await ended(database)
    version = await made.version(database)
    reason = "push: the registry is away (given up after 5 tries in 0 min)"
    assert (version["state"], version["reason"]) == ("failed", reason)
    assert (await made.facts(database)).count(f"job failed {jobs[0]}") == 1
    said = "interrupted: push: the registry is away; it will be tried again in 0 s"
    assert await made.log_text(database) == [said] * 4 + [f"failed: {reason}"]


async def test_a_version_that_can_no_longer_be_read_fails_and_the_others_are_built(
    database: Database, builder_of: BuilderOf
) -> None:
    jobs = await made.submitted(database, DEFINITION, version="v0")
    await database.execute("UPDATE versions SET definition = '{\"endpoints\": 3}'")
    await made.submitted(database, DEFINITION, version="v1")
    async with running(builder_of(well)):
        await ended(database, "v1")
    version = await made.version(database, "v0")
    assert version["state"] == "failed"
    assert version["reason"].startswith("the platform can no longer read what was submitted (")
    assert (await made.facts(database))[:2] == ["version failed v0", f"job failed {jobs[0]}"]
    assert (await made.version(database, "v1"))["state"] == "ready"


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_a_version_that_is_cancelled_is_dropped_soon(
    database: Database, builder_of: BuilderOf, told: bool
) -> None:
    await made.submitted(database, DEFINITION)
    slow = Slow()
    # a renewal would find out after twenty seconds, or at once
    builder = builder_of(slow, lease=60.0 if told else 0.3, look_every=60.0)
    async with running(builder):
        await slow.begun.wait()
        async with database.transaction() as connection:
            assert await versions.fail(connection, VersionId("v1"), "cancelled")
        if told:
            await builder.on_version_failed(EVENT)

        async def gone() -> bool:
            assert slow.folder is not None
            return not slow.folder.exists()

        async def written() -> bool:
            return await made.log_text(database) == ["begun", "cancelled"]

        await until(gone)
        await until(written)
    version = await made.version(database)
    assert (version["state"], version["reason"]) == ("failed", "cancelled")
    assert [fact.split()[1] for fact in await made.facts(database)] == [
        "building",
        "failed",
        "failed",
    ]


async def test_a_version_that_has_ended_is_not_failed_again(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)
    async with running(builder_of(well)):
        await ended(database)
    async with database.transaction() as connection:
        assert not await versions.fail(connection, VersionId("v1"), "cancelled")
    assert (await made.version(database))["state"] == "ready"


async def test_an_error_of_ours_ends_after_three_tries_and_not_the_builder(
    database: Database, builder_of: BuilderOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.builder.outcome.PAUSE", 0.0)
    tries = 0

    async def make(held: Claim, folder: Path, write: Write) -> Built:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError

    await made.submitted(database, DEFINITION)
    async with running(builder_of(make)):
        await ended(database)
    assert tries == 3
    assert "failed to build it 3 times" in (await made.version(database))["reason"]


async def test_what_ends_every_builder_is_given_up(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)
    await database.execute("UPDATE versions SET claims = 20")
    async with running(builder_of(well)):
        await ended(database)
    assert (await made.version(database))["state"] == "failed"


async def test_two_builders_never_have_the_same_version(database: Database) -> None:
    for number in range(5):
        await made.submitted(database, DEFINITION, version=f"v{number}")
    taken = await asyncio.gather(*(claims.claim(database, f"l{n}") for n in range(9)))
    assert sorted(held.id for held in taken if held) == [f"v{number}" for number in range(5)]


async def test_owners_take_turns_however_much_one_of_them_submits(database: Database) -> None:
    for number in range(4):
        await made.submitted(database, DEFINITION, version=f"v{number}")
    await made.submitted(database, DEFINITION, version="few0", owner="bob")
    taken = await claims.claim(database, "l0")
    assert taken is not None
    assert taken.id == "v0"
    assert await claims.finish(database, taken, Failed("no"))  # so nobody has one being built
    order = [await claims.claim(database, f"l{number}") for number in range(1, 5)]
    assert [held.id for held in order if held] == ["few0", "v1", "v2", "v3"]


async def test_an_owner_with_nothing_being_built_comes_first(database: Database) -> None:
    await made.submitted(database, DEFINITION, version="few0", owner="bob")
    first = await claims.claim(database, "l0")
    assert first is not None
    await claims.finish(database, first, Failed("no"))  # bob's turn was before the others'
    for number in range(3):
        await made.submitted(database, DEFINITION, version=f"v{number}")
    assert await claims.claim(database, "l1")
    await made.submitted(database, DEFINITION, version="few1", owner="bob")
    held = await claims.claim(database, "l2")
    assert held is not None
    assert (held.id, held.project) == ("few1", "bob/web")


async def test_a_builder_that_died_is_followed_by_another(
    database: Database, builder_of: BuilderOf
) -> None:
    jobs = await made.submitted(database, DEFINITION)
    dead = await claims.claim(database, "dead", 0.0)
    assert dead is not None
    async with running(builder_of(well)):
        await ended(database)
    assert (await made.facts(database)).count(f"job building {jobs[0]}") == 1
    assert not await claims.finish(database, dead, Failed("too late"))
    assert not await claims.renew(database, dead)
    assert (await made.version(database))["state"] == "ready"


async def test_a_builder_that_lost_its_lease_writes_nothing(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)
    slow = Slow()
    async with running(builder_of(slow, lease=0.3, look_every=60.0)):
        await slow.begun.wait()
        await database.execute("UPDATE versions SET lease = 'another'")

        async def gone() -> bool:
            assert slow.folder is not None
            return not slow.folder.exists()

        await until(gone)
    version = await made.version(database)
    assert (version["state"], version["lease"]) == ("building", "another")
    assert "ready" not in await made.log_text(database)


async def test_a_lease_is_renewed_while_a_build_goes_on(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)
    slow = Slow()
    async with running(builder_of(slow, lease=0.6, look_every=60.0)):
        await slow.begun.wait()
        first = (await made.version(database))["lease_until"]

        async def renewed() -> bool:
            return bool((await made.version(database))["lease_until"] > first)

        await until(renewed)
        slow.go.set()
        await ended(database)


async def test_a_builder_that_stops_gives_its_version_back(
    database: Database, builder_of: BuilderOf
) -> None:
    await made.submitted(database, DEFINITION)
    slow = Slow()
    async with running(builder_of(slow)):
        await slow.begun.wait()
    version = await made.version(database)
    assert (version["state"], version["lease"], version["claims"]) == ("building", None, 0)
    assert slow.folder is not None
    assert not slow.folder.exists()
    async with running(builder_of(well)):
        await ended(database)
    # numbering went on, and nothing of the first try was lost
    assert await made.log_text(database) == ["begun", "all is well", "ready"]


async def test_no_more_versions_are_built_at_a_time_than_allowed(
    database: Database, builder_of: BuilderOf
) -> None:
    for number in range(3):
        await made.submitted(database, DEFINITION, version=f"v{number}")
    slow = Slow()
    async with running(builder_of(slow, at_once=2, drain=5.0)):
        await slow.begun.wait()

        async def two() -> bool:
            return bool(
                await database.value("SELECT count(*) FROM versions WHERE lease <> ''") == 2
            )

        await until(two)
        slow.go.set()
        for number in range(3):
            await ended(database, f"v{number}")


async def test_a_version_whose_jobs_were_stopped_is_still_built(
    database: Database, builder_of: BuilderOf
) -> None:
    jobs = await made.submitted(database, DEFINITION)
    store = PostgresJobs(database)
    await store.advance(JobStopping(job=jobs[0]))
    async with running(builder_of(well)):
        await ended(database)
    job = await store.get(jobs[0])
    assert job is not None
    assert job.state == "stopping"


async def test_a_job_that_waits_in_the_queue_fails_with_its_version(
    database: Database, builder_of: BuilderOf
) -> None:
    jobs = await made.submitted(database, DEFINITION)
    store = PostgresJobs(database)
    for fact in (JobStopping(job=jobs[0]), JobStopped(job=jobs[0]), JobRestarted(job=jobs[0])):
        assert await store.advance(fact)
    async with running(builder_of(fails(Invalid("source", "is bad")))):
        await ended(database)
    job = await store.get(JobId(jobs[0]))
    assert job is not None
    assert (job.state, job.attempt) == ("failed", 2)
