"""Batch jobs: a command of a version, run to its exit code; one job, or an array of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
import msgspec

from services.api import gpus, jobs, refused, scheduling, versions
from services.api.answer import Answer, created
from services.api.call import Call, Project
from services.api.definitions.servables import VERSION_HELD
from services.api.formats import checks
from services.api.types import Empty, NoQuery
from services.api.types_runs import NewRun, Series, SeriesJob
from shared import ids
from shared.database import versions as table
from shared.database.jobs import advance_all
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import Version, VersionState
from shared.endpoint import Endpoint, Gpus, Model, Run, gpu_type
from shared.errors import Invalid
from shared.events import JobFact, JobQueued, JobStopping, JobSubmitted, JobTerminated
from shared.ids import JobId, VersionId
from shared.lifecycle import MOVES, OVER, State
from shared.target import CLUSTER, kind

RUN_MAKE = sql(__package__, "run_make")
SERIES = sql(__package__, "series")
SERIES_LOCK = sql(__package__, "series_lock")

OURS: Final = "SLIPWAY_"
TEXT: Final = 131_000
"""Bytes of a script or variable: Linux takes 128 KiB of one, with what is put around it."""
NO_OUTPUTS: Final = "outputs are not kept on this target: write them somewhere else"


async def of_version(call: Call[NoQuery, NewRun]) -> Answer:
    project, deployment = await call.deployment()
    found = await table.get(call.database, await versions.find(call))
    assert found is not None
    called = f"{deployment['name']}/{found.name}"
    return await _make(
        call, project, found, found.definition.endpoints, called, deployment["target"]
    )


async def of_job(call: Call[NoQuery, NewRun]) -> Answer:
    """In the image of a job, whatever became of the job itself, as long as there is an image."""
    job = await jobs.find(call)
    project = await call.project_of(job.owner, job.project)
    found = await table.get(call.database, VersionId(job.version))
    assert found is not None
    own = (found.definition.endpoint(job.endpoint),)
    return await _make(call, project, found, own, job.name, job.target, of=JobId(job.id))


async def _make(
    call: Call[NoQuery, NewRun],
    project: Project,
    version: Version,
    endpoints: Sequence[Endpoint],
    called: str,
    target: str,
    *,
    of: JobId | None = None,
) -> Answer:
    """All of an array are made, or none. `called` is what it is called after, when nobody says, and
    `of` the job whose image it is to have."""
    asked, endpoint = call.body, _endpoint(endpoints, call.body)
    _check_variables(asked)
    await _check(call, project, endpoint, target)
    _check_length(lines(asked.command))
    run = Run(lines=lines(asked.command), timeout=asked.timeout, variables=asked.variables)

    async def write(connection: Connection) -> Answer:
        if of is not None and version.deployment is None:
            await _check_there(connection, of)
        held = await connection.fetchrow(VERSION_HELD, version.id)
        assert held is not None
        if held["state"] == VersionState.FAILED:
            why = "make another version"
            raise refused.conflict("version-state", "The version could not be built", why)
        series = ids.new("s")
        name = asked.name or f"{called}/{series}"
        facts = submitted(name, version.id, endpoint, asked.array)
        await _write(connection, project, facts, series, target, asked, endpoint, run)
        if held["state"] == VersionState.READY:  # else its builder moves them on
            await advance_all(connection, [JobQueued(job=fact.job) for fact in facts])
        return created(await read(connection, series, None))

    return await call.once(write)


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


async def _write(
    connection: Connection,
    project: Project,
    facts: Sequence[JobSubmitted],
    series: str,
    target: str,
    asked: NewRun,
    endpoint: Endpoint,
    run: Run,
) -> None:
    priority, preemptible, _, *times = scheduling.columns(endpoint)
    values = (facts, project.seq, project.source, JobSubmitted.type, target, series)
    more = (run, asked.retries, priority, preemptible, *times)
    if await connection.fetchval(RUN_MAKE, *values, *more) != len(facts):
        taken = facts[0].name[:200]
        raise refused.conflict("name-taken", "The project has a job of that name", taken)


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


async def _check(
    call: Call[Any, NewRun], project: Project, endpoint: Endpoint, target: str
) -> None:
    if not call.who.may("admin"):
        wish = {"scheduling.priority": endpoint.scheduling}
        if wrongs := await scheduling.too_high(call.database, project.owner, wish):
            raise Invalid.of(wrongs)
    error = gpus.check(endpoint, await gpus.late_stock_of(call.context, target))
    if error is not None:
        error = gpus.check(endpoint, await gpus.stock_of(call.database, target))
    if error is not None:
        fields = {"gpu_types": "gpus.types", "gpu_count": "gpus.count"}
        raise Invalid(fields.get(error.field, f"gpus.{error.field}"), error.message)


async def read(connection: Connection, series: str, only: str | None) -> Series:
    """`only`: whose it has to be. Refused when there is none such."""
    rows = await connection.fetch(SERIES, series, only)
    if not rows:
        raise refused.missing("series")
    return view(rows)


def view(rows: Sequence[asyncpg.Record]) -> Series:
    first = rows[0]
    same = ("owner", "project", "deployment", "version_name", "endpoint", "target")
    values = {key: first[key] for key in same}
    name = first["name"] if len(rows) == 1 else first["name"].rpartition("/")[0]
    return Series(
        **values,
        id=first["series"],
        name=name,
        command=list(msgspec.convert(first["run"], Run).lines),
        created_at=first["created_at"],
        counts=dict(Counter(row["state"] for row in rows)),
        jobs=[msgspec.convert(dict(row), SeriesJob) for row in rows],
        notes=[NO_OUTPUTS] if kind(first["target"]) == CLUSTER else [],
    )


async def show(call: Call[NoQuery, None]) -> Answer:
    async with call.database.connection() as connection:
        return Answer(await read(connection, call.path["series"], call.who.only))


async def stop(call: Call[NoQuery, Empty]) -> Answer:
    return await _move_all(call, JobStopping)


async def terminate(call: Call[NoQuery, Empty]) -> Answer:
    return await _move_all(call, JobTerminated)


async def _move_all(
    call: Call[NoQuery, Empty], fact: type[JobStopping] | type[JobTerminated]
) -> Answer:
    """Those of its jobs that can be; the others stay as they are, so that twice is once."""
    series, only = call.path["series"], call.who.only

    async def write(connection: Connection) -> Answer:
        rows = await connection.fetch(SERIES_LOCK, series, only)
        facts: list[JobFact] = [
            fact(job=JobId(row["id"]), attempt=row["attempt"], by=call.who.token)
            for row in rows
            if State(row["state"]) in MOVES[fact].sources
        ]
        await advance_all(connection, facts)
        return Answer(await read(connection, series, only))

    return await call.once(write)
