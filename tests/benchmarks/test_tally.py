"""What the drill tells of itself: figures, and whether it tried as much as was asked of it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from benchmarks.drill.scheduler.tally import Tally, short, tally
from shared.events import JobPlaced, JobStopping
from shared.ids import JobId
from tests.simulation.referee import Held, Record, Said

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACED, STOPPED = JobPlaced(job=JobId("j1")), JobStopping(job=JobId("j1"))
RECORD = Record(
    accepted=[JobId("j1"), JobId("j2")],
    said=[
        Said(type=fact.type, subject="j1", data=msgspec.to_builtins(fact), time=START)
        for fact in (PLACED, STOPPED)
    ],
    held=[Held(gpu="g", job=JobId("j1"), attempt=1, held_at=START, released_at=None)],
    rows=[],
    uses=[],
    began=START,
)


def told() -> Tally:
    done = {"killed": 3, "paused": 2}
    return tally(RECORD, done, seed=7, planted=None, schedulers=5, gpus=1, seconds=12.34)


def test_a_run_is_told_in_figures() -> None:
    found = told()
    assert (found.kills, found.pauses, found.races, found.seconds) == (3, 2, 1, 12.3)
    assert (found.jobs, found.placed, found.allocations, found.attempts) == (2, 1, 1, 1)
    assert (found.overlaps, found.leaks) == (0, 1)
    assert "g is still held by j1, attempt 1" in found.wrong
    assert len(found.commit) >= 7
    assert datetime.fromisoformat(found.date).tzinfo is UTC


def test_a_run_that_tried_less_than_was_asked_is_short_of_it() -> None:
    assert short(told(), allocations=1, races=1) == ["only 1 of 2 jobs ever had a place"]
    enough = msgspec.structs.replace(told(), placed=2)
    assert short(enough, allocations=1, races=1) == []
    assert short(enough, allocations=2, races=10_000) == [
        "only 1 of 2 allocations were made",
        "only 1 of 10000 stops raced a start",
    ]
