"""Versions as every service reads them. The API writes them, the builder finishes them, and both
may fail one that is being built."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from shared.database.events import announce
from shared.database.jobs import advance
from shared.database.pool import Connection, Database
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.events import JobFailed, VersionFailed
from shared.ids import DeploymentId, JobId, VersionId
from shared.image import Record
from shared.lifecycle import LIVE, OVER, State

VERSION = sql(__package__, "version")
VERSION_FAIL = sql(__package__, "version_fail")
JOBS_OF_VERSION = sql(__package__, "jobs_of_version")

CANCELLED: Final = "cancelled"
WANTED: Final = [state for state in State if state not in OVER]


class VersionState(StrEnum):
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Version(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    id: VersionId
    owner: str
    project: str
    deployment: DeploymentId | None  # None: the unnamed version of a lone endpoint
    deployment_name: str | None
    name: str
    state: VersionState
    definition: Definition
    images: dict[str, str]  # endpoint -> manifest digest
    notes: tuple[str, ...]
    reason: str
    repository: str = ""  # `registry/name` that holds the images; "": the blob store alone
    record: dict[str, Record] = {}  # endpoint -> what its image was made of
    created_at: datetime
    changed_at: datetime


async def get(database: Database, version: VersionId) -> Version | None:
    row = await database.row(VERSION, version)
    return None if row is None else msgspec.convert(dict(row), Version)


async def fail(connection: Connection, version: VersionId, reason: str) -> bool:
    """Fail a version that is being built and the jobs that wait for it, and announce it all.

    Belongs into a transaction. Whoever builds it loses it. False: it has ended already.
    """
    row = await connection.fetchrow(VERSION_FAIL, version, reason)
    if row is None:
        return False
    fact = VersionFailed(version=version, reason=reason)
    await announce(connection, fact, project=row["project"], source=row["source"])
    for job, attempt in await jobs(connection, version, LIVE):
        await advance(connection, JobFailed(job=job, attempt=attempt, reason=reason))
    return True


async def forsake(connection: Connection, version: VersionId) -> None:
    """Cancel the build of a version when nobody can want it any more: its jobs are all over.

    Belongs into a transaction.
    """
    if not await jobs(connection, version, WANTED):
        await fail(connection, version, CANCELLED)


async def jobs(
    connection: Connection, version: VersionId, states: Sequence[State]
) -> list[tuple[JobId, int]]:
    """Those of a version that are in one of `states`, and their attempts, oldest first."""
    rows = await connection.fetch(JOBS_OF_VERSION, version, list(states))
    return [(row["id"], row["attempt"]) for row in rows]
