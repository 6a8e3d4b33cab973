"""The life of a job. Everything that decides which state may follow which is in this file.

Read a line of MOVES as: this fact takes a job from any of these states to that one. The SQL guard
is filled from the table (shared/database/jobs.py), the diagram in docs/lifecycle.md is drawn from
it, and the fakes obey it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from shared.events import (
    Fact,
    JobBuilding,
    JobFailed,
    JobFinished,
    JobLost,
    JobPlaced,
    JobPreempted,
    JobPurged,
    JobQueued,
    JobRestarted,
    JobRetried,
    JobStarted,
    JobStopped,
    JobStopping,
    JobTerminated,
)


class State(StrEnum):
    SUBMITTED = "submitted"  # accepted and written down
    BUILDING = "building"  # its version's image is being made
    QUEUED = "queued"  # waits for GPUs; free of charge
    STARTING = "starting"  # holds its GPUs, not yet ready; billing runs from here
    RUNNING = "running"  # answers
    STOPPING = "stopping"  # drains, then ends
    STOPPED = "stopped"  # holds nothing; may be started again from its image
    FINISHED = "finished"  # a batch job that exited with 0; what it made is kept
    FAILED = "failed"  # may only be terminated
    TERMINATED = "terminated"  # its environment and data are gone
    PURGED = "purged"  # the same, after two weeks unused


class Move(NamedTuple):
    sources: frozenset[State]
    to: State
    next_attempt: bool = False
    in_place: bool = False  # it queues where it queued before, not at the end


def _move(*sources: State, to: State, next_attempt: bool = False, in_place: bool = False) -> Move:
    return Move(frozenset(sources), to, next_attempt, in_place)


(
    SUBMITTED,
    BUILDING,
    QUEUED,
    STARTING,
    RUNNING,
    STOPPING,
    STOPPED,
    FINISHED,
    FAILED,
    TERMINATED,
    PURGED,
) = State

LIVE: Final = (SUBMITTED, BUILDING, QUEUED, STARTING, RUNNING)
"""States in which a job is wanted."""

HOLDING: Final = (STARTING, RUNNING, STOPPING)
"""States in which a job may hold GPUs and have processes."""

OVER: Final = (TERMINATED, PURGED)
"""States that nothing leaves."""

MOVES: Final[dict[type[Fact], Move]] = {
    JobBuilding: _move(SUBMITTED, to=BUILDING),
    JobQueued: _move(SUBMITTED, BUILDING, to=QUEUED),
    JobPlaced: _move(QUEUED, to=STARTING),
    JobStarted: _move(STARTING, to=RUNNING),
    JobLost: _move(STARTING, RUNNING, to=QUEUED, next_attempt=True),
    JobPreempted: _move(STARTING, RUNNING, to=QUEUED, next_attempt=True, in_place=True),
    JobRetried: _move(STARTING, RUNNING, to=QUEUED, next_attempt=True),
    JobStopping: _move(*LIVE, to=STOPPING),
    JobStopped: _move(STOPPING, to=STOPPED),
    JobRestarted: _move(STOPPED, to=QUEUED, next_attempt=True),
    JobFinished: _move(STARTING, RUNNING, to=FINISHED),
    JobFailed: _move(*LIVE, to=FAILED),
    JobTerminated: _move(STOPPED, FINISHED, FAILED, to=TERMINATED),
    JobPurged: _move(STOPPED, FINISHED, to=PURGED),
}


def diagram() -> str:
    """The table as a mermaid state diagram."""
    edges = [
        f"    {source} --> {move.to}: {fact.__name__}"
        for fact, move in MOVES.items()
        for source in sorted(move.sources)
    ]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {SUBMITTED}", *edges])
