"""proxiML endpoints: one job with an unnamed version of its own."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from services.api import answers, jobs, refused, scheduling, source
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.review import review
from services.api.types import NoQuery
from services.api.types_proximl import NewEndpoint
from shared import ids
from shared.database.sqlfile import sql
from shared.endpoint import Definition, Endpoint
from shared.events import JobSubmitted, VersionSubmitted
from shared.ids import JobId, VersionId

JOB_NAMED = sql(__package__, "job_named")
ENDPOINT_MAKE = sql(__package__, "endpoint_make")
NOW = sql(__package__, "now")


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
    at = plan.at or await call.database.value(NOW)
    made = Made(at=at, project=project, definition=plan.definition, name=asked.name, target=target)
    answer = created(jobs.view(made.row(), call.context.router_url))
    most = call.context.builds_per_owner
    values = (*made.columns(), *answers.kept(call.key, answer), project.owner, most)
    together = call.context.together(ENDPOINT_MAKE, claims=True)
    writing = together.row(*values, owner=project.owner, size=call.size)
    written = await answers.once_told(writing)
    if not written["admitted"]:
        raise refused.too_many_builds(most)
    if not written["made"]:
        raise _conflict()
    return answer


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A lone endpoint as it is when it has been submitted. All of it is known before it is written,
    so that its answer can be written with it."""

    at: datetime
    project: Project
    definition: Definition  # of one endpoint
    name: str
    target: str
    job: JobId = msgspec.field(default_factory=lambda: JobId(ids.new("j")))
    version: VersionId = msgspec.field(default_factory=lambda: VersionId(ids.new("v")))

    @property
    def endpoint(self) -> Endpoint:
        return self.definition.endpoints[0]

    def row(self) -> dict[str, Any]:
        """As jobs.sql would tell it."""
        endpoint, at = self.endpoint, self.at
        priority, preemptible, gang, _, within, run_at_most = scheduling.columns(endpoint)
        return {
            **jobs.BEGUN,
            "id": self.job,
            "owner": self.project.owner,
            "project": self.project.name,
            "name": self.name,
            "version": self.version,
            "version_name": self.job,
            "endpoint": endpoint.name,
            "target": self.target,
            "copies": endpoint.copies,
            "gpu_types": endpoint.gpus.types,
            "gpu_count": endpoint.gpus.count,
            "disk_size": endpoint.disk_gib,
            "priority": priority,
            "preemptible": preemptible,
            "gang": gang,
            "run_at_most": run_at_most,
            "start_by": None if within is None else at + timedelta(seconds=within),
            "created_at": at,
            "changed_at": at,
        }

    def columns(self) -> tuple[object, ...]:
        """The parameters of endpoint_make.sql but for its answer."""
        endpoint, wish = self.endpoint, self.endpoint.gpus
        version = VersionSubmitted(version=self.version, name=self.job, deployment=None)
        job = JobSubmitted(
            job=self.job,
            name=self.name,
            version=self.version,
            endpoint=endpoint.name,
            gpu_types=wish.types,
            gpu_count=wish.count,
        )
        return (
            *(self.version, self.project.seq, self.project.source, self.definition),
            *(self.job, self.name, endpoint.name, self.target),
            *(wish.types, wish.count, endpoint.copies, *scheduling.columns(endpoint), self.at),
            *(version.type, version, job.type, job),
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
