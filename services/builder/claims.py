"""Which builder works on which version: taking one by lease, keeping it, and ending it.

A lease is a name that nobody else has and a time. Whoever finds that its lease is gone writes
nothing more; whoever dies is followed by another builder when the time has run out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from shared.database import versions
from shared.database.events import announce
from shared.database.jobs import advance
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.events import (
    JobBuilding,
    JobFact,
    JobFailed,
    JobQueued,
    VersionFact,
    VersionFailed,
    VersionReady,
)
from shared.ids import JobId, VersionId
from shared.image import Record
from shared.lifecycle import LIVE, State

log = logging.getLogger(__name__)

CLAIM = sql(__package__, "claim")
RENEW = sql(__package__, "renew")
GIVE_BACK = sql(__package__, "give_back")
FINISH = sql(__package__, "finish")
STATE = sql(__package__, "state")

UNREADABLE: Final = "the platform can no longer read what was submitted"
LEASE: Final = 15.0  # seconds that a builder may be silent before another one takes over


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A version that this builder may build."""

    id: VersionId
    lease: str
    project: str  # owner/name
    target: str
    deployment: str = ""  # what its deployment, or its model, is called
    definition: Definition
    claims: int  # of this version that ended without a word, with this one
    errors: int  # builds of it that ended in an error of our own
    troubles: int = 0  # builds of it that met trouble which may pass
    troubled: float = 0.0  # seconds since the first of these


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """The images of a version: endpoint -> manifest digest."""

    images: dict[str, str]
    notes: tuple[str, ...] = ()
    repository: str = ""  # `registry/name` that holds the images; "": only the blob store does
    record: dict[str, Record] = {}  # endpoint -> what its image was made of


class Failed(msgspec.Struct, frozen=True):
    """It can't be built as it is, and why."""

    reason: str


async def claim(database: Database, lease: str, seconds: float = LEASE) -> Claim | None:
    """Take a version that waits and say that its jobs are being built, both or neither.

    Owners take turns. What can't be read any more fails instead, and the next one is taken.
    """
    while True:
        async with database.transaction() as connection:
            row = await connection.fetchrow(CLAIM, lease, seconds)
            if row is None:
                return None
            found = await _read(connection, dict(row) | {"lease": lease})
            if found is not None:
                for job, attempt in await versions.jobs(connection, found.id, [State.SUBMITTED]):
                    await advance(connection, JobBuilding(job=job, attempt=attempt))
                return found


async def _read(connection: Connection, row: dict[str, Any]) -> Claim | None:
    try:
        return msgspec.convert(row, Claim)
    except msgspec.ValidationError as error:
        log.exception("version %s can't be read", row["id"])
        await versions.fail(connection, row["id"], f"{UNREADABLE} ({error}); submit it again")
        return None


async def renew(database: Database, held: Claim, seconds: float = LEASE) -> bool:
    """False: the version is no longer ours."""
    return await database.value(RENEW, held.id, held.lease, seconds) is not None


async def is_over(database: Database, held: Claim) -> bool:
    """Whether it has ended, whoever ended it."""
    state = await database.value(STATE, held.id)
    return bool(state != versions.VersionState.BUILDING)


async def give_back(
    database: Database,
    held: Claim,
    *,
    pause: float,
    errors: int = 0,
    troubles: int = 0,
    reason: str | None = None,
) -> None:
    """Let any builder have it after `pause` seconds. Giving back what is not ours does nothing."""
    await database.execute(GIVE_BACK, held.id, held.lease, pause, errors, troubles, reason)


async def finish(database: Database, held: Claim, outcome: Built | Failed) -> bool:
    """End the build and move the version's jobs on, all or nothing.

    False: the lease was lost, and nothing was written.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(FINISH, held.id, held.lease, *_columns(outcome))
        if row is None:
            return False
        fact = _fact(held.id, outcome)
        await announce(connection, fact, project=row["project"], source=row["source"])
        for job, attempt in await versions.jobs(connection, held.id, _waiting(outcome)):
            await advance(connection, _job_fact(job, attempt, outcome))
    return True


def _columns(outcome: Built | Failed) -> tuple[object, ...]:
    if isinstance(outcome, Built):
        return "ready", outcome.images, outcome.notes, "", outcome.repository, outcome.record
    return "failed", {}, (), outcome.reason, "", {}


def _fact(version: VersionId, outcome: Built | Failed) -> VersionFact:
    if isinstance(outcome, Built):
        return VersionReady(version=version, images=outcome.images)
    return VersionFailed(version=version, reason=outcome.reason)


def _job_fact(job: JobId, attempt: int, outcome: Built | Failed) -> JobFact:
    if isinstance(outcome, Built):
        return JobQueued(job=job, attempt=attempt)
    return JobFailed(job=job, attempt=attempt, reason=outcome.reason)


def _waiting(outcome: Built | Failed) -> Sequence[State]:
    """A job that was stopped and started again while its version was built waits in the queue."""
    return (State.SUBMITTED, State.BUILDING) if isinstance(outcome, Built) else LIVE
