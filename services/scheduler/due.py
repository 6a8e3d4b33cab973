"""What becomes of a job whose time has come: to have started, to give way, or to end. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.events import JobFact, JobFailed, JobPreempted, JobStopping
from shared.ids import JobId

BY = "run limit"  # who stops it


class Due(msgspec.Struct, frozen=True, kw_only=True):
    job: JobId
    attempt: int
    kind: Literal["endpoint", "batch"]
    what: Literal[
        "start",  # it has not been given a place in time
        "give way",  # the notice that it had is over
        "tell",  # it must end soon, and its owner does not know yet
        "end",  # it has run for as long as it may
    ]
    to: JobId | None = None  # who it gives way to
    run_at_most: float | None = None  # seconds


def moved(due: Due) -> JobFact | None:
    """The fact that is due; None for what moves no job."""
    match due.what:
        case "start":
            reason = "it was not given a place by the time by which it had to start"
            return JobFailed(job=due.job, attempt=due.attempt, reason=reason)
        case "give way":
            reason = f"gave way to {due.to}"
            return JobPreempted(job=due.job, attempt=due.attempt, reason=reason, to=due.to or "")
        case "end" if due.kind == "batch":
            return JobFailed(job=due.job, attempt=due.attempt, reason=limit(due))
        case "end":
            return JobStopping(job=due.job, attempt=due.attempt, by=BY)
        case _:
            return None


def limit(due: Due) -> str:
    return f"it may run for {due.run_at_most or 0.0:g} s, and has"
