"""The jobs table moves jobs by the lifecycle and never otherwise, and never gives a GPU twice."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from shared.database.jobs import PostgresJobs, advance, scale
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import (
    FACTS,
    GpuReleased,
    JobFact,
    JobFailed,
    JobLost,
    JobMoved,
    JobPlaced,
    JobPreempted,
    JobQueued,
    JobRestarted,
    JobScaled,
    JobStarted,
    JobStopped,
    JobStopping,
    JobSubmitted,
)
from shared.ids import JobId
from shared.lifecycle import LIVE, MOVES, State
from tests.integration.rows import add_gpus, add_job, add_version, facts

FREE = "SELECT count(*) FROM allocations WHERE released_at IS NULL"
FIELDS: dict[str, Any] = {
    "reason": "because",
    "address": "http://127.0.0.1:1",
    "name": "n",
    "version": "v",
    "endpoint": "e",
}


@pytest.fixture
async def jobs(database: Database) -> PostgresJobs:
    await add_version(database)
    return PostgresJobs(database)


def fact(kind: type[JobFact], job: JobId, attempt: int = 1) -> JobFact:
    fields = {name: FIELDS[name] for name in kind.__struct_fields__ if name in FIELDS}
    return kind(job=job, attempt=attempt, **fields)


MOVING = [kind for kind in FACTS.values() if kind in MOVES and issubclass(kind, JobFact)]


@pytest.mark.parametrize("kind", MOVING, ids=lambda kind: kind.__name__)
async def test_a_fact_moves_a_job_from_the_states_of_the_table_and_no_other(
    jobs: PostgresJobs, database: Database, kind: type[JobFact]
) -> None:
    move, told = MOVES[kind], []
    for state in State:
        job = await add_job(database, state)
        moves = state in move.sources
        told += [fact(kind, job)] if moves else []
        assert await jobs.advance(fact(kind, job)) is moves
        found = await jobs.get(job)
        assert found is not None
        assert found.state is (move.to if moves else state)
        assert found.attempt == 1 + (moves and move.next_attempt)
    assert await facts(database) == told


async def test_of_eight_who_tell_the_same_one_is_believed(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.RUNNING)
    won = await asyncio.gather(*(jobs.advance(JobStopping(job=job)) for _ in range(8)))
    assert sorted(won) == [False] * 7 + [True]
    assert await facts(database) == [JobStopping(job=job)]


async def test_of_two_who_tell_otherwise_one_is_believed(
    jobs: PostgresJobs, database: Database
) -> None:
    for _ in range(10):
        job = await add_job(database, State.STARTING)
        told: list[JobFact] = [
            JobFailed(job=job, reason="no"),
            JobStarted(job=job, address="http://127.0.0.1:1"),
            JobLost(job=job, reason="gone"),
        ]
        won = await asyncio.gather(*(jobs.advance(one) for one in told))
        found = await jobs.get(job)
        assert found is not None
        # what happened is one of the ways through the table
        assert found.state is State.FAILED if won[0] else found.state is State.QUEUED
        assert won[0] or won[2]


async def test_a_fact_about_an_earlier_attempt_changes_nothing(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.STOPPED)
    assert await jobs.advance(JobRestarted(job=job))
    assert not await jobs.advance(JobFailed(job=job, attempt=1, reason="late"))
    found = await jobs.get(job)
    assert found is not None
    assert (found.state, found.attempt, found.reason) == (State.QUEUED, 2, "")


async def test_a_running_job_has_an_address_and_others_have_none(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.STARTING)
    await jobs.advance(JobStarted(job=job, address="http://10.0.0.1:8000"))
    running = await jobs.get(job)
    await jobs.advance(JobStopping(job=job))
    stopping = await jobs.get(job)
    assert running is not None
    assert stopping is not None
    assert (running.addresses, stopping.addresses) == (("http://10.0.0.1:8000",), ())


async def test_the_place_in_the_queue_is_taken_when_a_job_enters_it(
    jobs: PostgresJobs, database: Database
) -> None:
    first, second = [await add_job(database, State.BUILDING) for _ in range(2)]
    assert await jobs.advance(JobQueued(job=second))
    assert await jobs.advance(JobQueued(job=first))
    one, two = await jobs.get(first), await jobs.get(second)
    assert one is not None
    assert two is not None
    assert one.queued_at is not None
    assert two.queued_at is not None
    assert two.queued_at < one.queued_at


async def test_of_eight_who_want_one_gpu_one_gets_it(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1")
    wanting = [await add_job(database, State.QUEUED) for _ in range(8)]
    won = await asyncio.gather(*(jobs.place(JobPlaced(job=job, gpus=("g1",))) for job in wanting))
    assert sorted(won) == [False] * 7 + [True]
    assert await database.value(FREE) == 1
    states = [job.state for one in wanting if (job := await jobs.get(one))]
    assert sorted(states) == [State.QUEUED] * 7 + [State.STARTING]
    assert [type(one) for one in await facts(database)] == [JobPlaced]


async def test_of_eight_who_place_one_job_one_does(jobs: PostgresJobs, database: Database) -> None:
    await add_gpus(database, *(f"g{n}" for n in range(8)))
    job = await add_job(database, State.QUEUED)
    won = await asyncio.gather(*(jobs.place(JobPlaced(job=job, gpus=(f"g{n}",))) for n in range(8)))
    assert sorted(won) == [False] * 7 + [True]
    assert await database.value(FREE) == 1


def placements(jobs: list[JobId], *gpus: str) -> list[JobPlaced]:
    return [JobPlaced(job=job, gpus=(gpu,)) for job, gpu in zip(jobs, gpus, strict=True)]


async def test_of_many_that_are_placed_at_once_those_that_moved_on_are_passed_over(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1", "g2", "g3")
    one, two, three = [await add_job(database, State.QUEUED) for _ in range(3)]
    await jobs.advance(JobStopping(job=two))
    given = placements([one, two, three], "g1", "g2", "g3")
    assert await jobs.place_all(given) == {one, three}
    assert await database.value(FREE) == 2
    told = [fact for fact in await facts(database) if isinstance(fact, JobPlaced)]
    assert sorted(told, key=str) == sorted([given[0], given[2]], key=str)


async def test_of_many_that_are_placed_at_once_those_whose_gpus_are_held_are_passed_over(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1", "g2")
    before, one, two = [await add_job(database, State.QUEUED) for _ in range(3)]
    await jobs.place(JobPlaced(job=before, gpus=("g1",)))
    assert await jobs.place_all(placements([one, two], "g1", "g2")) == {two}
    found = await jobs.get(one)
    assert found is not None
    assert found.state is State.QUEUED
    assert await jobs.place_all([]) == set()


async def test_when_the_table_refuses_many_at_once_each_is_placed_by_itself(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1", "g2")
    one, two, three = [await add_job(database, State.QUEUED) for _ in range(3)]
    # of two that are given the same GPU by one statement neither can see the other
    assert await jobs.place_all(placements([one, two, three], "g1", "g1", "g2")) == {one, three}
    assert await database.value(FREE) == 2


async def test_of_many_who_place_the_same_jobs_each_job_has_its_gpu_once(
    jobs: PostgresJobs, database: Database
) -> None:
    gpus = [f"g{n}" for n in range(6)]
    await add_gpus(database, *gpus)
    waiting = [await add_job(database, State.QUEUED) for _ in range(6)]
    ways = [placements(waiting, *gpus[n:], *gpus[:n]) for n in range(4)]
    won = await asyncio.gather(*(jobs.place_all(way) for way in ways), return_exceptions=True)
    assert all(isinstance(answer, set | Transient) for answer in won)
    placed = [job for answer in won if isinstance(answer, set) for job in answer]
    assert len(placed) == len(set(placed)) == await database.value(FREE)


async def test_a_job_that_gave_way_queues_in_the_place_that_it_had(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.BUILDING)
    await jobs.advance(JobQueued(job=job))
    first = await jobs.get(job)
    await jobs.place(JobPlaced(job=job))
    await jobs.advance(JobPreempted(job=job, reason="gave way"))
    again = await jobs.get(job)
    assert first is not None
    assert again is not None
    assert (again.attempt, again.queued_at) == (2, first.queued_at)


async def test_S11_jobs_that_want_the_same_gpus_in_another_order_never_share_one(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1", "g2", "g3")
    for gpus in itertools.permutations(("g1", "g2", "g3"), 2):
        one, two = [await add_job(database, State.QUEUED) for _ in range(2)]
        won = await asyncio.gather(
            jobs.place(JobPlaced(job=one, gpus=gpus)),
            jobs.place(JobPlaced(job=two, gpus=gpus[::-1])),
            return_exceptions=True,
        )
        # of two who stand in each other's way PostgreSQL ends one; it is tried again later
        assert all(isinstance(answer, bool | Transient) for answer in won)
        assert won.count(True) == 1
        assert await database.value(FREE) == 2
        for job in (one, two):
            await jobs.release(job, 1)


async def test_what_is_released_is_free_once_and_said_once(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g1", "g2")
    job, other = [await add_job(database, State.QUEUED) for _ in range(2)]
    await jobs.place(JobPlaced(job=job, gpus=("g1", "g2")))
    assert await jobs.release(job, 2) == 0, "another attempt holds nothing"
    assert sorted(await asyncio.gather(*(jobs.release(job, 1) for _ in range(4)))) == [0, 0, 0, 2]
    assert await jobs.place(JobPlaced(job=other, gpus=("g1",)))
    assert await jobs.release(job, 1) == 0, "what another holds now is not touched"
    released = [one for one in await facts(database) if isinstance(one, GpuReleased)]
    assert sorted(one.gpu for one in released) == ["g1", "g2"]
    assert {(one.job, one.attempt) for one in released} == {(job, 1)}


async def test_a_job_that_needs_no_gpu_is_placed_with_none(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.QUEUED)
    assert await jobs.place(JobPlaced(job=job))
    assert not await jobs.place(JobPlaced(job=job))
    assert await jobs.release(job, 1) == 0


async def holding(database: Database, jobs: PostgresJobs, copies: int) -> JobId:
    """A running job of up to five copies of one GPU each, of which so many run."""
    job = await add_job(database, State.QUEUED)
    await database.execute("UPDATE jobs SET gpu_count = 1, copies = 5 WHERE id = $1", job)
    gpus = tuple(f"g{n}" for n in range(copies))
    assert await jobs.place(JobPlaced(job=job, gpus=gpus, copies=copies))
    return job


async def scaled(database: Database, job: JobId, copies: int) -> bool:
    async with database.transaction() as connection:
        return await scale(connection, JobScaled(job=job, copies=copies))


async def test_of_eight_who_let_a_job_grow_one_does(jobs: PostgresJobs, database: Database) -> None:
    await add_gpus(database, *(f"g{n}" for n in range(9)))
    job = await holding(database, jobs, 1)
    more = JobScaled(job=job, copies=2)
    won = await asyncio.gather(*(jobs.grow(more, 1, (f"g{n}",)) for n in range(1, 9)))
    assert sorted(won) == [False] * 7 + [True]
    assert await database.value(FREE) == 2
    found = await jobs.get(job)
    assert found is not None
    assert found.granted == 2


async def test_a_job_grows_no_further_than_it_was_asked_to_and_not_without_its_gpus(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, *(f"g{n}" for n in range(9)))
    job = await holding(database, jobs, 1)
    assert not await jobs.grow(JobScaled(job=job, copies=6), 1, ("g1", "g2", "g3", "g4", "g5"))
    assert not await jobs.grow(JobScaled(job=job, copies=2), 1, ()), "it holds none for another"
    assert not await jobs.grow(JobScaled(job=job, copies=2), 1, ("g0",)), "that is its own"
    assert not await jobs.grow(JobScaled(job=job, copies=3), 2, ("g1",)), "it may run one"
    assert not await jobs.grow(JobScaled(job=job, attempt=2, copies=2), 1, ("g1",))
    assert await database.value(FREE) == 1


async def test_what_it_gives_back_it_gets_back_or_others_do(
    jobs: PostgresJobs, database: Database
) -> None:
    await add_gpus(database, "g0", "g1", "g2")
    job = await holding(database, jobs, 3)
    for _ in range(20):
        assert await scaled(database, job, 1)
        assert await scaled(database, job, 3)
        back = JobScaled(job=job, copies=3)
        grants = await database.value("SELECT grants FROM jobs WHERE id = $1", job)
        freed, grown = await asyncio.gather(jobs.shrink(job, 1, 1, grants), jobs.grow(back, 1, ()))
        assert (freed, grown) in ((2, False), (0, True))
        assert await database.value(FREE) == 3 - freed
        if freed:
            assert await jobs.grow(back, 1, ("g1", "g2"))
        rows = await database.fetch(
            "SELECT copy FROM allocations WHERE released_at IS NULL ORDER BY copy"
        )
        assert [row["copy"] for row in rows] == [0, 1, 2]


async def test_where_it_answers_is_written_once_and_only_while_it_runs(
    jobs: PostgresJobs, database: Database
) -> None:
    job = await add_job(database, State.RUNNING)
    there = JobMoved(job=job, addresses=("http://h:1", "http://h:2"))
    assert sorted(await asyncio.gather(*(jobs.moved(there) for _ in range(4)))) == [False] * 3 + [
        True
    ]
    assert await jobs.moved(JobMoved(job=job, addresses=()))
    assert not await jobs.moved(JobMoved(job=job, attempt=2, addresses=("http://h:3",)))
    assert await facts(database) == [there, JobMoved(job=job, addresses=())]
    stopping = await add_job(database, State.STOPPING)
    assert not await jobs.moved(JobMoved(job=stopping, addresses=("http://h:1",)))


@pytest.mark.parametrize("state", State)
async def test_a_job_is_scaled_while_it_is_wanted(
    jobs: PostgresJobs, database: Database, state: State
) -> None:
    job = await add_job(database, state)
    won = await asyncio.gather(*(scaled(database, job, 4) for _ in range(4)))
    assert won.count(True) == (state in LIVE)
    found = await jobs.get(job)
    assert found is not None
    assert (found.copies, found.granted) == (4 if state in LIVE else 1, 1)


async def test_a_move_that_belongs_to_a_transaction_goes_with_it(
    jobs: PostgresJobs, database: Database
) -> None:
    async def moves_and_fails(job: JobId) -> None:
        async with database.transaction() as connection:
            assert await advance(connection, JobStopped(job=job))
            raise ZeroDivisionError

    job = await add_job(database, State.STOPPING)
    with pytest.raises(ZeroDivisionError):
        await moves_and_fails(job)
    found = await jobs.get(job)
    assert found is not None
    assert found.state is State.STOPPING
    assert await facts(database) == []


async def test_no_such_job_is_none_and_never_moves(jobs: PostgresJobs) -> None:
    assert await jobs.get(JobId("nobody")) is None
    assert not await jobs.advance(JobQueued(job=JobId("nobody")))
    assert await jobs.release(JobId("nobody"), 1) == 0


def test_the_first_fact_of_a_job_moves_nothing() -> None:
    assert JobSubmitted not in MOVES
