"""What becomes of a job whose time has come."""

from __future__ import annotations

import pytest

from services.scheduler.due import Due, moved
from shared.events import JobFailed, JobPreempted, JobStopping
from shared.ids import JobId


def due(what, **more):
    return Due(job=JobId("j1"), attempt=2, kind="endpoint", what=what, **more)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            due("start"),
            JobFailed(
                job="j1",
                attempt=2,
                reason="it was not given a place by the time by which it had to start",
            ),
        ),
        (
            due("give way", to="j2"),
            JobPreempted(job="j1", attempt=2, reason="gave way to j2", to="j2"),
        ),
        (due("end", run_at_most=90.0), JobStopping(job="j1", attempt=2, by="run limit")),
        (due("tell", run_at_most=90.0), None),
    ],
    ids=lambda value: getattr(value, "what", ""),
)
def test_what_is_due_moves_a_job(given, expected):
    assert moved(given) == expected


def test_a_batch_job_that_ran_for_as_long_as_it_may_has_failed():
    batch = Due(job=JobId("j1"), attempt=1, kind="batch", what="end", run_at_most=90.0)
    assert moved(batch) == JobFailed(job="j1", attempt=1, reason="it may run for 90 s, and has")
