"""What must be true of everything that was written down and of everything that really ran. Pure.

It believes no program: it knows what the machines ran, and what the tables and the event log say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

import msgspec

from shared.events import FACTS, GpuReleased, JobFact, JobPlaced, JobScaled, JobStopping
from shared.ids import JobId
from shared.lifecycle import FINISHED, MOVES, OVER, STOPPED, SUBMITTED, State
from tests.simulation.target import Use

NEVER: Final = datetime.max.replace(tzinfo=UTC)
ENDED: Final = {STOPPED, FINISHED, State.FAILED, *OVER}
SECOND: Final = timedelta(seconds=1)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the log."""

    type: str
    subject: str
    data: dict[str, object]
    time: datetime


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One row of allocations."""

    gpu: str
    job: JobId
    attempt: int
    held_at: datetime
    released_at: datetime | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One job."""

    id: JobId
    state: State
    attempt: int
    reason: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation from its beginning to its end, in the order in which it happened."""

    accepted: Sequence[JobId]
    said: Sequence[Said]
    held: Sequence[Held]
    rows: Sequence[Row]
    uses: Sequence[Use]
    began: datetime  # when the time of `uses` was 0
    jumped: bool = False  # whether the wall clock did
    lost: tuple[float, float] | None = None  # of what began then, nobody knows any more
    exact: bool = True  # whether one statement has one time, as in virtual time


def judge(record: Record) -> list[str]:
    """Every broken rule, in words."""
    return [
        *_jobs(record),
        *_moves(record),
        *overlaps(record),
        *leaks(record),
        *_given(record),
        *_covered(record),
    ]


def overlaps(record: Record) -> list[str]:
    """Where two had one GPU at a time: as it ran, and as the table says."""
    return [*_shared(record.uses), *_held_twice(record)]


def leaks(record: Record) -> list[str]:
    """What is held or runs when all has ended."""
    return list(_leaked(record))


def races(said: Sequence[Said]) -> int:
    """Stops that were asked while their job had its place and had not started."""
    starting: set[str] = set()
    met = 0
    for each in said:
        kind = FACTS.get(each.type)
        if kind is JobPlaced:
            starting.add(each.subject)
        elif kind in MOVES:
            met += kind is JobStopping and each.subject in starting
            starting.discard(each.subject)
    return met


def placed(said: Sequence[Said]) -> set[str]:
    """Jobs that ever had a place."""
    return {each.subject for each in said if each.type == JobPlaced.type}


def _jobs(record: Record) -> Iterator[str]:
    found = {row.id: row for row in record.rows}
    for job in record.accepted:
        if job not in found:
            yield f"{job} was accepted and is not there"
        elif found[job].state not in ENDED:
            yield f"{job} is {found[job].state} when all should have ended"


def _moves(record: Record) -> Iterator[str]:
    """The log tells each job's life without a gap, and ends where the job is."""
    lives: dict[str, tuple[State, int]] = {}
    for said in record.said:
        fact = _fact(said)
        if not isinstance(fact, JobFact):
            continue
        state, attempt = lives.get(fact.job, (SUBMITTED, 1))
        if fact.attempt != attempt:
            yield f"{fact.job}: {said.type} of attempt {fact.attempt} during attempt {attempt}"
        move = MOVES.get(type(fact))
        if move is None:
            continue
        if state not in move.sources:
            yield f"{fact.job}: {said.type} when it was {state}"
        lives[fact.job] = (move.to, attempt + move.next_attempt)
    for row in record.rows:
        state, attempt = lives.get(row.id, (SUBMITTED, 1))
        if (state, attempt) != (row.state, row.attempt):
            told = f"{row.state}, attempt {row.attempt}"
            yield f"{row.id} is {told}; its events say {state}, {attempt}"


def _shared(uses: Sequence[Use]) -> Iterator[str]:
    """No two processes could ever reach one GPU."""
    by_gpu: dict[str, list[Use]] = defaultdict(list)
    for use in uses:
        by_gpu[use.gpu].append(use)
    for gpu, ordered in by_gpu.items():
        for before, after in pairwise(sorted(ordered, key=lambda use: use.since)):
            if before.until is None or after.since < before.until:
                yield (
                    f"{gpu} was reached by {before.replica} and from {after.since:.3f} s on by"
                    f" {after.replica}, too"
                )


def _held_twice(record: Record) -> Iterator[str]:
    if record.jumped:
        return
    by_gpu: dict[str, list[Held]] = defaultdict(list)
    for held in record.held:
        by_gpu[held.gpu].append(held)
    for gpu, rows in by_gpu.items():
        ordered = sorted(rows, key=lambda held: (held.held_at, held.released_at or NEVER))
        for before, after in pairwise(ordered):
            if before.released_at is None or after.held_at < before.released_at:
                yield f"{gpu} was held by {before.job} and by {after.job}, too"


def _leaked(record: Record) -> Iterator[str]:
    for held in record.held:
        if held.released_at is None:
            yield f"{held.gpu} is still held by {held.job}, attempt {held.attempt}"
    for use in record.uses:
        if use.until is None:
            yield f"{use.replica} still runs on {use.gpu}"


def _given(record: Record) -> Iterator[str]:
    """One holder at a time, in the order of the log; and as the log says, to the microsecond."""
    holder: dict[str, tuple[str, int]] = {}
    begun: dict[tuple[str, str, int], datetime] = {}
    told: list[tuple[str, str, int, datetime, datetime]] = []
    grown = {fact.job for said in record.said if isinstance(fact := _fact(said), JobScaled)}
    for said in record.said:
        match _fact(said):
            case JobPlaced(job=job, attempt=attempt, gpus=gpus):
                for gpu in gpus:
                    if gpu in holder:
                        yield f"{gpu} was given to {job} while {holder[gpu][0]} held it"
                    holder[gpu] = (job, attempt)
                    begun[gpu, job, attempt] = said.time
            case GpuReleased(gpu=gpu, job=job, attempt=attempt):
                if job not in grown and holder.get(gpu) != (job, attempt):
                    yield f"{gpu} was released by {job}, which did not hold it"
                holder.pop(gpu, None)
                if (gpu, job, attempt) in begun:
                    told.append((gpu, job, attempt, begun.pop((gpu, job, attempt)), said.time))
    if record.exact and not record.jumped:
        yield from _billed(record, told, grown)


def _billed(
    record: Record,
    told: Sequence[tuple[str, str, int, datetime, datetime]],
    grown: set[JobId],
) -> Iterator[str]:
    """What is billed is what was held."""
    rows = sorted(
        (held.gpu, held.job, held.attempt, held.held_at, held.released_at)
        for held in record.held
        if held.job not in grown and held.released_at is not None
    )
    for row, each in zip(rows, sorted(t for t in told if t[1] not in grown), strict=False):
        if row != each:
            yield f"the table says that {row} were held, the log {each}"
    mine = sum(1 for each in told if each[1] not in grown)
    if len(rows) != mine:
        yield f"{len(rows)} intervals are in the table, and {mine} in the log"


def _covered(record: Record) -> Iterator[str]:
    """Whatever could reach a GPU held it for as long."""
    if record.jumped:
        return
    holds: dict[tuple[str, str, int], list[Held]] = defaultdict(list)
    for held in record.held:
        holds[held.gpu, held.job, held.attempt].append(held)
    for use in record.uses:
        if record.lost is not None and record.lost[0] <= use.since < record.lost[1]:
            continue
        since = record.began + timedelta(seconds=use.since)
        until = None if use.until is None else record.began + timedelta(seconds=use.until)
        mine = holds[use.gpu, use.replica.job, use.replica.attempt]
        if not any(_within(since, until, held) for held in mine):
            yield f"{use.replica} reached {use.gpu} from {use.since:.3f} s on and did not hold it"


def _within(since: datetime, until: datetime | None, held: Held) -> bool:
    early = held.held_at <= since + SECOND / 1000
    if held.released_at is None:
        return early
    return early and until is not None and until <= held.released_at + SECOND / 1000


def _fact(said: Said) -> object:
    kind = FACTS.get(said.type)
    return None if kind is None else msgspec.convert(said.data, kind)
