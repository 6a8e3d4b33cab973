"""Versions: immutable, made with a job for each endpoint, in one transaction with the facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.api import cursor, refused, scheduling, source, uploads, urls
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.paging import limit, page, rows_of
from services.api.review import review
from services.api.types import Empty, NewVersion, NoQuery, Paging, Version, VersionSummary
from shared import ids
from shared.database import versions
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import CANCELLED, VersionState
from shared.endpoint import Definition, Endpoint
from shared.events import JobSubmitted, VersionSubmitted
from shared.ids import JobId, VersionId

DEPLOYMENT_LOCK = sql(__package__, "deployment_lock")
OWNER_BUILDS = sql(__package__, "owner_builds")
VERSION_NAME = sql(__package__, "version_name")
VERSION_MAKE = sql(__package__, "version_make")
VERSION_FIND = sql(__package__, "version_find")
VERSION_JOBS = sql(__package__, "version_jobs")
VERSIONS = sql(__package__, "versions")
JOB_MAKE = sql(__package__, "job_make")


async def make(call: Call[NoQuery, NewVersion]) -> Answer:
    project, deployment = await call.deployment()
    plan = await _planned(call, project, deployment["target"])

    async def write(connection: Connection) -> Answer:
        await connection.execute(DEPLOYMENT_LOCK, deployment["id"])
        name = await _name(connection, deployment["id"], call.body.name)
        most = call.context.builds_per_owner
        version = await submit(
            connection, project, plan.definition, name, deployment["id"], most=most
        )
        for endpoint in plan.definition.endpoints:
            job, called = JobId(ids.new("j")), f"{deployment['name']}/{name}/{endpoint.name}"
            await submit_job(
                connection, project, job, version, endpoint, called, deployment["target"]
            )
        return created(await _read(connection, version, call.context.router_url))

    return await call.once(write)


async def _name(connection: Connection, deployment: str, asked: str | None) -> str:
    """The version's name; one that a version or an alias has is refused."""
    if asked is None:
        return str(await connection.fetchval(VERSION_NAME, deployment))
    if await connection.fetchval(VERSION_FIND, deployment, asked) is not None:
        raise refused.conflict("name-taken", "The deployment has a version or alias of that name")
    return asked


async def submit(
    connection: Connection,
    project: Project,
    definition: Definition,
    name: str,
    deployment: str | None = None,
    *,
    most: int,
) -> VersionId:
    """Write a version whose name is free, unless `most` of its owner's wait already (0: any)."""
    made = VersionId(ids.new("v"))
    waiting = await connection.fetchval(OWNER_BUILDS, project.owner, most)
    if most and waiting >= most:
        raise refused.too_many_builds(most)
    await uploads.use(connection, project.seq, definition)
    await connection.execute(VERSION_MAKE, made, project.seq, deployment, name, definition)
    fact = VersionSubmitted(version=made, name=name, deployment=deployment)
    await announce(connection, fact, project=project.seq, source=project.source)
    return made


async def submit_job(
    connection: Connection,
    project: Project,
    job: JobId,
    version: VersionId,
    endpoint: Endpoint,
    name: str,
    target: str,
) -> None:
    """Write a job for one endpoint of a version. A taken name is refused."""
    wish = endpoint.gpus
    made = (job, project.seq, name, version, endpoint.name)
    values = (*made, target, wish.types, wish.count, endpoint.copies, *scheduling.columns(endpoint))
    if await connection.fetchval(JOB_MAKE, *values) is None:
        raise refused.conflict("name-taken", "The project has a job of that name", name[:200])
    fact = JobSubmitted(
        job=job,
        name=name,
        version=version,
        endpoint=endpoint.name,
        gpu_types=wish.types,
        gpu_count=wish.count,
    )
    await announce(connection, fact, project=project.seq, source=project.source)


async def index(call: Call[Paging, None]) -> Answer:
    _, deployment = await call.deployment()
    before = cursor.number("versions", call.query.after)
    rows = await call.database.fetch(VERSIONS, deployment["id"], before, limit(call.query) + 1)
    return Answer(page(rows, call.query, "versions", "seq", rows_of(VersionSummary)))


async def find(call: Call[Any, Any]) -> VersionId:
    """The version in the path, named by its own name or an alias."""
    _, deployment = await call.deployment()
    found = await call.database.value(VERSION_FIND, deployment["id"], call.path["version"])
    if found is None:
        raise refused.missing("version")
    return VersionId(found)


async def show(call: Call[NoQuery, None]) -> Answer:
    found = await find(call)
    async with call.database.connection() as connection:
        return Answer(await _read(connection, found, call.context.router_url))


async def cancel(call: Call[NoQuery, Empty]) -> Answer:
    """What has failed stays as it is, so that cancelling twice is cancelling once."""
    found = await find(call)

    async def write(connection: Connection) -> Answer:
        await versions.fail(connection, found, CANCELLED)
        version = await _read(connection, found, call.context.router_url)
        if version.state == VersionState.READY:
            raise refused.conflict(
                "version-state",
                "The version is ready",
                "there is no build to cancel; stop its jobs",
            )
        return Answer(version)

    return await call.once(write)


async def _read(connection: Connection, version: VersionId, router: str) -> Version:
    row = await connection.fetchrow(versions.VERSION, version)
    assert row is not None
    jobs = {row["endpoint"]: row["id"] for row in await connection.fetch(VERSION_JOBS, version)}
    return view(msgspec.convert(dict(row), versions.Version), jobs, router)


def view(version: versions.Version, jobs: Mapping[str, str], router: str) -> Version:
    """A version as people see it."""
    assert version.deployment_name is not None
    place = (version.owner, version.project, version.deployment_name, version.name)
    endpoints = list(version.definition.endpoints)
    return Version(
        id=version.id,
        name=version.name,
        state=version.state,
        reason=version.reason,
        created_at=version.created_at,
        owner=version.owner,
        project=version.project,
        deployment=version.deployment_name,
        source=version.definition.source,
        origin=version.definition.origin,
        endpoints=endpoints,
        images=version.images,
        repository=version.repository,
        record=version.record,
        notes=list(version.notes),
        urls={made.name: urls.valohai(router, *place, made.name) for made in endpoints},
        jobs=dict(jobs),
        changed_at=version.changed_at,
    )


async def preview(call: Call[NoQuery, NewVersion]) -> Answer:
    project, deployment = await call.deployment()
    plan = _planned(call, project, deployment["target"])
    wrong = await _name_wrong(call, deployment["id"])
    return Answer(await review(call.database, deployment["target"], plan, wrong))


async def _planned(call: Call[NoQuery, NewVersion], project: Project, target: str) -> source.Plan:
    any_class = call.who.may("admin")
    return await source.version(call.context, project, target, call.body, any_class=any_class)


async def _name_wrong(call: Call[NoQuery, NewVersion], deployment: str) -> str:
    asked = call.body.name
    if asked and await call.database.value(VERSION_FIND, deployment, asked) is not None:
        return "is the name of a version or alias of this deployment"
    return ""
