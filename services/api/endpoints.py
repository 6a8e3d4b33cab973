"""proxiML endpoints: one job with an unnamed version of its own."""

from __future__ import annotations

from services.api import jobs, refused, scheduling, source, versions
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.review import review
from services.api.types import NewEndpoint, NoQuery
from shared import ids
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.endpoint import Definition
from shared.events import JobSubmitted, VersionSubmitted
from shared.ids import JobId, VersionId

JOB_NAMED = sql(__package__, "job_named")
ENDPOINT_MAKE = sql(__package__, "endpoint_make")


async def make(call: Call[NoQuery, NewEndpoint]) -> Answer:
    project, asked = await call.project(), call.body
    target = call.context.target(asked.target)
    if asked.model.source_type == "git":  # fetching it costs, so these are looked at early
        if (said := await call.before()) is not None:
            return said
        if await _taken(call, project):
            raise _conflict()
    plan = await source.endpoint(
        call.context, project, target, asked, any_class=call.who.may("admin")
    )

    async def write(connection: Connection) -> Answer:
        await versions.admit(connection, project, call.context.builds_per_owner)
        values = _values(project, plan.definition, asked.name, target)
        row = await connection.fetchrow(ENDPOINT_MAKE, *values)
        if row is None:
            raise _conflict()
        return created(jobs.view(row, call.context.router_url))

    if call.key is None and not call.context.builds_per_owner:  # then it is one statement
        return await call.database.lend(write)
    return await call.once(write)


def _values(project: Project, definition: Definition, name: str, target: str) -> tuple[object, ...]:
    """The parameters of endpoint_make.sql."""
    version, job, (endpoint,) = VersionId(ids.new("v")), JobId(ids.new("j")), definition.endpoints
    wish = endpoint.gpus
    submitted = VersionSubmitted(version=version, name=job, deployment=None)
    fact = JobSubmitted(
        job=job,
        name=name,
        version=version,
        endpoint=endpoint.name,
        gpu_types=wish.types,
        gpu_count=wish.count,
    )
    return (
        *(version, project.seq, project.name, project.source, definition),
        *(job, name, endpoint.name, target, wish.types, wish.count, endpoint.copies),
        *scheduling.columns(endpoint),
        *(submitted.type, submitted, fact.type, fact),
    )


def _conflict() -> refused.Refused:
    return refused.conflict("name-taken", "The project has a job of that name")


async def preview(call: Call[NoQuery, NewEndpoint]) -> Answer:
    project = await call.project()
    plan = _planned(call, project)
    taken = await _taken(call, project)
    target = call.body.target or call.context.targets[0]
    wrong = "is the name of a job of this project" if taken else ""
    return Answer(await review(call.database, target, plan, wrong))


async def _planned(call: Call[NoQuery, NewEndpoint], project: Project) -> source.Plan:
    target = call.context.target(call.body.target)
    return await source.endpoint(
        call.context, project, target, call.body, preview=True, any_class=call.who.may("admin")
    )


async def _taken(call: Call[NoQuery, NewEndpoint], project: Project) -> bool:
    return await call.database.value(JOB_NAMED, project.seq, call.body.name) is not None
