"""proxiML endpoints: one job with an unnamed version of its own."""

from __future__ import annotations

from services.api import jobs, refused, source, versions
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.review import review
from services.api.types import NewEndpoint, NoQuery
from shared import ids
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.ids import JobId

JOB_NAMED = sql(__package__, "job_named")


async def make(call: Call[NoQuery, NewEndpoint]) -> Answer:
    project, asked = await call.project(), call.body
    target = call.context.target(asked.target)
    # early, since looking into the source costs; under a key, it may be this request that took it
    if call.key is None and await _taken(call, project):
        raise refused.conflict("name-taken", "The project has a job of that name")
    plan = await source.endpoint(
        call.context, project, target, asked, any_class=call.who.may("admin")
    )

    async def write(connection: Connection) -> Answer:
        job, (endpoint,) = JobId(ids.new("j")), plan.definition.endpoints
        most = call.context.builds_per_owner
        version = await versions.submit(connection, project, plan.definition, job, most=most)
        await versions.submit_job(connection, project, job, version, endpoint, asked.name, target)
        return created(await jobs.read(connection, job, call.context.router_url))

    return await call.once(write)


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
        call.context, project, target, call.body, fetch=False, any_class=call.who.may("admin")
    )


async def _taken(call: Call[NoQuery, NewEndpoint], project: Project) -> bool:
    return await call.database.value(JOB_NAMED, project.seq, call.body.name) is not None
