"""The referee tells each kind of wrong, and nothing of what is right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from services.scheduler.driver import Replica
from shared.events import (
    Fact,
    GpuReleased,
    JobPlaced,
    JobQueued,
    JobScaled,
    JobStarted,
    JobStopped,
    JobStopping,
)
from shared.ids import JobId
from shared.lifecycle import State
from tests.simulation.clock import BEGINS
from tests.simulation.referee import Held, Record, Row, Said, judge, leaks, overlaps, placed, races
from tests.simulation.target import Use

JOB = JobId("j1")
LIFE: tuple[tuple[float, Fact], ...] = (
    (0.0, JobQueued(job=JOB)),
    (1.0, JobPlaced(job=JOB, gpus=("g0",))),
    (2.0, JobStarted(job=JOB, address="")),
    (5.0, JobStopping(job=JOB)),
    (7.0, JobStopped(job=JOB)),
    (7.0, GpuReleased(gpu="g0", job=JOB, attempt=1)),
)


def said(at: float, fact: Fact) -> Said:
    return Said(
        type=fact.type,
        subject=fact.subject,
        data=msgspec.to_builtins(fact),
        time=BEGINS + timedelta(seconds=at),
    )


def held(since: float, until: float | None, job: JobId = JOB) -> Held:
    end = None if until is None else BEGINS + timedelta(seconds=until)
    return Held(
        gpu="g0", job=job, attempt=1, held_at=BEGINS + timedelta(seconds=since), released_at=end
    )


def use(since: float, until: float | None, job: JobId = JOB) -> Use:
    return Use(gpu="g0", replica=Replica(job, 1), since=since, until=until)


def record(**changes: Any) -> Record:
    right = Record(
        accepted=[JOB],
        said=[said(at, fact) for at, fact in LIFE],
        held=[held(1.0, 7.0)],
        rows=[Row(id=JOB, state=State.STOPPED, attempt=1)],
        uses=[use(1.5, 6.5)],
        began=BEGINS,
    )
    return msgspec.structs.replace(right, **changes)


def without(kind: type[Fact]) -> list[Said]:
    return [said(at, fact) for at, fact in LIFE if not isinstance(fact, kind)]


def test_what_is_right_is_let_be():
    assert judge(record()) == []


def test_a_job_that_was_accepted_and_is_gone_is_told():
    assert "j2 was accepted and is not there" in judge(record(accepted=[JOB, JobId("j2")]))


def test_a_job_that_did_not_end_is_told():
    rows = [Row(id=JOB, state=State.STOPPING, attempt=1)]
    assert any(
        "is stopping when all should have ended" in line for line in judge(record(rows=rows))
    )


def test_a_move_that_no_event_tells_is_told():
    assert judge(record(said=without(JobStopping))) == [
        "j1: slipway.job.stopped.v1 when it was running"
    ]


def test_an_event_of_another_attempt_is_told():
    late = [*record().said, said(8.0, JobStopping(job=JOB, attempt=2))]
    assert any("of attempt 2 during attempt 1" in line for line in judge(record(said=late)))


def test_an_end_that_the_log_does_not_tell_is_told():
    rows = [Row(id=JOB, state=State.FAILED, attempt=1)]
    assert any("its events say stopped, 1" in line for line in judge(record(rows=rows)))


def test_two_processes_on_one_gpu_are_told():
    uses = [use(1.5, 6.5), use(6.0, 6.4, JobId("j2"))]
    assert any(
        "was reached by j1-1 and from 6.000 s on by j2-1" in x for x in judge(record(uses=uses))
    )


def test_a_gpu_that_is_never_released_is_told():
    leaked = record(said=without(GpuReleased), held=[held(1.0, None)])
    assert any("g0 is still held by j1" in line for line in judge(leaked))


def test_a_process_that_never_ends_is_told():
    assert any("j1-1 still runs on g0" in line for line in judge(record(uses=[use(1.5, None)])))


def test_a_process_that_outlives_its_hold_is_told():
    assert judge(record(uses=[use(1.5, 7.5)])) == [
        "j1-1 reached g0 from 1.500 s on and did not hold it"
    ]


def test_a_gpu_that_is_given_twice_is_told():
    twice = [*record().said[:3], said(3.0, JobPlaced(job=JobId("j2"), gpus=("g0",)))]
    assert any("g0 was given to j2 while j1 held it" in line for line in judge(record(said=twice)))


def test_a_bill_that_is_longer_than_what_was_held_is_told():
    assert any("the table says" in line for line in judge(record(held=[held(1.0, 8.0)])))


def test_a_hold_that_no_event_tells_is_told():
    more = [held(1.0, 7.0), held(8.0, 9.0, JobId("j2"))]
    assert any(
        "2 intervals are in the table, and 1 in the log" in x for x in judge(record(held=more))
    )


def test_a_gpu_that_the_table_gave_to_two_at_once_is_told():
    twice = [held(1.0, 7.0), held(6.9, 8.0, JobId("j2"))]
    assert "g0 was held by j1 and by j2, too" in overlaps(record(held=twice))
    after = [held(1.0, 7.0), held(7.0, 8.0, JobId("j2"))]
    assert overlaps(record(held=after)) == []


def test_leaks_are_what_is_held_and_what_runs_when_all_has_ended():
    assert leaks(record()) == []
    assert len(leaks(record(held=[held(1.0, None)], uses=[use(1.5, None)]))) == 2


def test_a_race_is_a_stop_between_a_jobs_place_and_its_start():
    assert races([said(at, fact) for at, fact in LIFE]) == 0
    assert races(without(JobStarted)) == 1
    assert races(without(JobPlaced)) == 0
    other = [said(0.0, JobPlaced(job=JobId("j2"))), *without(JobPlaced)]
    assert races(other) == 0
    assert placed(other) == {"j2"}
    moved = JobScaled(job=JOB, copies=2)
    warned = [said(1.0, LIFE[1][1]), said(1.1, moved), said(1.2, JobStopping(job=JOB))]
    assert races(warned * 2) == 2
