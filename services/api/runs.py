"""Batch jobs: a command of a version, run to its exit code; one job, or an array of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from services.api import answers, gpus, jobs, refused, scheduling, series
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.formats import checks
from services.api.types import NoQuery
from services.api.types_runs import NewRun, Series, SeriesJob
from shared import ids
from shared.database import versions as table
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import VersionState
from shared.endpoint import Definition, Endpoint, Gpus, Model, Run, gpu_type
from shared.errors import Invalid
from shared.events import JobQueued, JobSubmitted
from shared.ids import JobId, VersionId
from shared.lifecycle import OVER, State

RUN_GROUND = sql(__package__, "run_ground")
RUN_MAKE = sql(__package__, "run_make")
OWNER_CLAIM = sql(__package__, "owner_claim")
NOW = sql(__package__, "now")

OURS: Final = "SLIPWAY_"
TEXT: Final = 131_000
"""Bytes of a script or variable: Linux takes 128 KiB of one, with what is put around it."""
WRITTEN: Final = 32 << 20
"""Bytes that all jobs of an array may have of what they do: each has its own copy."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a command runs on. `called` is what it is called after when nobody says, and `of` the
    job whose image it is to have, where that goes with the job."""

    at: datetime  # when that was looked up, by the database's clock
    version: VersionId
    version_name: str
    state: VersionState
    deployment: str | None
    endpoints: tuple[Endpoint, ...]
    target: str
    called: str
    highest: int | None  # class that the owner's jobs may have (None: nobody said)
    of: JobId | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Of one job that is made."""

    submitted: JobSubmitted
    queued: JobQueued


async def of_version(call: Call[NoQuery, NewRun]) -> Answer:
    if call.body.array > 1 and (said := await call.before()) is not None:
        return said
    project = await call.project()
    names = (call.path["deployment"], call.path["version"])
    asking = call.context.together(RUN_GROUND)
    row = await asking.row(project.seq, project.owner, *names, owner=project.owner)
    if row["deployment"] is None:
        raise refused.missing("deployment")
    if row["version"] is None:
        raise refused.missing("version")
    ground = Ground(
        at=row["at"],
        version=VersionId(row["version"]),
        version_name=row["version_name"],
        state=VersionState(row["state"]),
        deployment=row["deployment"],
        endpoints=msgspec.convert(row["definition"], Definition).endpoints,
        target=row["target"],
        called=f"{row['deployment']}/{row['version_name']}",
        highest=row["highest"],
    )
    return await _make(call, project, ground) or await of_version(call)


async def of_job(call: Call[NoQuery, NewRun]) -> Answer:
    """In the image of a job, whatever became of the job itself, as long as there is an image."""
    job = await jobs.find(call)
    project = await call.project_of(job.owner, job.project)
    found = await table.get(call.database, VersionId(job.version))
    assert found is not None
    ground = Ground(
        at=await call.database.value(NOW),
        version=found.id,
        version_name=found.name,
        state=found.state,
        deployment=found.deployment_name,
        endpoints=(found.definition.endpoint(job.endpoint),),
        target=job.target,
        called=job.name.removesuffix(f"/{job.series}"),
        highest=await scheduling.highest(call.database, project.owner),
        of=JobId(job.id) if found.deployment is None else None,
    )
    return await _make(call, project, ground) or await of_job(call)


async def _make(call: Call[NoQuery, NewRun], project: Project, ground: Ground) -> Answer | None:
    """All of an array are made, or none. None, when the version has been built meanwhile."""
    asked, endpoint = call.body, _endpoint(ground.endpoints, call.body)
    _check_variables(asked)
    if not call.who.may("admin"):
        _check_class(project, ground, endpoint)
    await _check_gpus(call, endpoint, ground.target)
    _check_length(lines(asked.command))
    run = Run(lines=lines(asked.command), timeout=asked.timeout, variables=asked.variables)
    _check_array(run, asked.array)
    if ground.state == VersionState.FAILED:
        why = "make another version"
        raise refused.conflict("version-state", "The version could not be built", why)
    made = Made(project=project, ground=ground, asked=asked, endpoint=endpoint, run=run)
    answer = created(made.told())
    values = (*made.columns(), *answers.kept(call.key, answer), project.owner)
    try:
        written = await answers.once_told(_write(call, project, ground, values))
    except asyncpg.UniqueViolationError:
        title = "The project has a job of that name"
        raise refused.conflict("name-taken", title, made.facts[0].name[:200]) from None
    return answer if written else None


async def _write(
    call: Call[NoQuery, NewRun], project: Project, ground: Ground, values: Sequence[object]
) -> bool:
    """Whether they were made. An array may be large, so others' jobs don't wait for it."""
    of = ground.of
    if of is None:
        size = call.size if call.body.array == 1 else None
        together = call.context.together(RUN_MAKE, claims=True)
        return bool((await together.row(*values, owner=project.owner, size=size))["made"])

    async def write(connection: Connection) -> bool:
        await connection.execute(OWNER_CLAIM, project.owner)  # before a row that others need
        await _check_there(connection, of)
        return bool(await connection.fetchval(RUN_MAKE, *values, True, column=1))

    return await call.database.transact(write)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A series as it is when it has been submitted. All of it is known before it is written, so
    that its answer can be written with it."""

    project: Project
    ground: Ground
    asked: NewRun
    endpoint: Endpoint
    run: Run
    id: str = msgspec.field(default_factory=lambda: ids.new("s"))
    facts: list[JobSubmitted] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        version, count = self.ground.version, self.asked.array
        self.facts.extend(submitted(self.name, version, self.endpoint, count))

    @property
    def name(self) -> str:
        return self.asked.name or f"{self.ground.called}/{self.id}"

    def told(self) -> Series:
        state = State.QUEUED if self.ground.state == VersionState.READY else State.SUBMITTED
        return Series(
            id=self.id,
            owner=self.project.owner,
            project=self.project.name,
            name=self.name,
            deployment=self.ground.deployment,
            version_name=self.ground.version_name,
            endpoint=self.endpoint.name,
            target=self.ground.target,
            command=list(self.run.lines),
            created_at=self.ground.at,
            counts={state: self.asked.array},
            jobs=[
                SeriesJob(
                    id=fact.job, place=place, state=state, reason="", attempt=1, exit_code=None
                )
                for place, fact in enumerate(self.facts)
            ],
            notes=series.notes(self.ground.target),
        )

    def columns(self) -> tuple[object, ...]:
        """The parameters of run_make.sql but for its answer."""
        ground, project = self.ground, self.project
        both = [Facts(submitted=fact, queued=JobQueued(job=fact.job)) for fact in self.facts]
        priority, preemptible, _, *times = scheduling.columns(self.endpoint)
        return (
            *(both, project.seq, project.source, JobSubmitted.type, JobQueued.type),
            *(ground.version, ground.state, ground.target, self.id, self.run, self.asked.retries),
            *(priority, preemptible, *times, ground.at),
        )


async def _check_there(connection: Connection, job: JobId) -> None:
    """What an endpoint of its own was made of goes with it."""
    row = await connection.fetchrow(jobs.JOB_LOCK, job, None)
    if row is not None and State(row["state"]) in OVER:
        why = f"it is {row['state']}, and its environment with it; submit it anew"
        raise refused.conflict("no-image", "The job has no image", why)


def lines(command: str | Sequence[str]) -> tuple[str, ...]:
    """A text is one script."""
    return (command,) if isinstance(command, str) else tuple(command)


def submitted(name: str, version: VersionId, endpoint: Endpoint, count: int) -> list[JobSubmitted]:
    """One for each job of an array, in its order; one alone has the name itself."""
    return [
        JobSubmitted(
            job=JobId(ids.new("j")),
            name=name if count == 1 else f"{name}/{place}",
            version=version,
            endpoint=endpoint.name,
            gpu_types=endpoint.gpus.types,
            gpu_count=endpoint.gpus.count,
        )
        for place in range(count)
    ]


def _endpoint(endpoints: Sequence[Endpoint], asked: NewRun) -> Endpoint:
    """The endpoint whose image it is, with what this run wants of the queue."""
    named = {endpoint.name: endpoint for endpoint in endpoints}
    if not asked.endpoint and len(named) > 1:
        raise Invalid("endpoint", f"must be one of {', '.join(named)}")
    found = named.get(asked.endpoint) if asked.endpoint else endpoints[0]
    if found is None:
        raise Invalid("endpoint", f"must be one of {', '.join(named)}")
    if isinstance(found.entry, Model):
        raise Invalid("endpoint", "is a model; only endpoints have commands run in their images")
    return msgspec.structs.replace(
        found,
        replicas=1,
        autoscaling=None,
        gpus=found.gpus if asked.gpus is None else _gpus(asked),
        scheduling=checks.scheduling_of(asked.scheduling),
    )


def _check_length(script: Sequence[str]) -> None:
    if sum(len(line.encode()) + 1 for line in script) > TEXT:
        raise Invalid("command", f"is more than {TEXT} bytes long: put it into a file of the code")


def _check_array(run: Run, count: int) -> None:
    if (most := WRITTEN // len(msgspec.json.encode(run))) < count:
        raise Invalid("array", f"must be at most {most} of a command and variables so long")


def _gpus(asked: NewRun) -> Gpus:
    assert asked.gpus is not None
    types = tuple(dict.fromkeys(map(gpu_type, asked.gpus.types)))
    if "cpu" in types:
        return Gpus()
    return Gpus(types=types, count=asked.gpus.count, max_price=asked.gpus.max_price)


def _check_variables(asked: NewRun) -> None:
    for name, value in asked.variables.items():
        if name.startswith(OURS):
            raise Invalid(f"variables.{name[:80]}", f"must not begin with {OURS}: those are ours")
        if len(f"{name}={value}".encode()) > TEXT:
            raise Invalid(
                f"variables.{name[:80]}", f"is more than {TEXT} bytes long, with its name"
            )


def _check_class(project: Project, ground: Ground, endpoint: Endpoint) -> None:
    wish = {"scheduling.priority": endpoint.scheduling}
    if wrongs := scheduling.above(project.owner, ground.highest, wish):
        raise Invalid.of(wrongs)


async def _check_gpus(call: Call[Any, NewRun], endpoint: Endpoint, target: str) -> None:
    error = gpus.check(endpoint, await gpus.late_stock_of(call.context, target))
    if error is not None:
        error = gpus.check(endpoint, await gpus.stock_of(call.database, target))
    if error is not None:
        fields = {"gpu_types": "gpus.types", "gpu_count": "gpus.count"}
        raise Invalid(fields.get(error.field, f"gpus.{error.field}"), error.message)
