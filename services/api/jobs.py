"""Jobs: list, show, stop, restart, terminate, and how to call them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec

from services.api import cursor, refused, urls
from services.api.answer import Answer
from services.api.call import Call
from services.api.formats import proximl
from services.api.money import money
from services.api.paging import limit, page
from services.api.sample import sample
from services.api.scheduling import named
from services.api.types import Connection as Connect
from services.api.types import Empty, Job, JobsQuery, NoQuery, Page
from shared.contract import Contract
from shared.database.jobs import advance, scale
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import VersionState, forsake
from shared.endpoint import Definition, Endpoint, Model, Routes
from shared.events import JobFact, JobRestarted, JobScaled, JobStopping, JobTerminated
from shared.ids import JobId, VersionId
from shared.lifecycle import LIVE, MOVES, State

JOBS = sql(__package__, "jobs")
JOBS_BEGIN = sql(__package__, "jobs_begin")
JOB_UNHURRY = sql(__package__, "job_unhurry")
JOB_LOCK = sql(__package__, "job_lock")
JOB_DEFINITION = sql(__package__, "job_definition")

FEW: Final = 20  # jobs whose ids begin alike
ID: Final = re.compile(r"[a-z0-9]{1,32}")
SAMPLES: Final[dict[str, Any]] = {
    "str": "text",
    "int": 1,
    "float": 1.0,
    "bool": True,
    "list": [],
    "dict": {},
}


BEGUN: Final[dict[str, Any]] = {
    "kind": "endpoint",
    "state": State.SUBMITTED,
    "reason": "",
    "attempt": 1,
    "restarts": 0,
    "retries": 0,
    "copies_running": 0,
    "gpus": [],
    "price_per_hour": 0.0,
    "cost": Decimal(0),
    **dict.fromkeys(("deployment", "model", "servable", "application", "series", "place")),
    **dict.fromkeys(("queued_at", "placed_at", "give_way_at", "purge_at")),
    **dict.fromkeys(("exit_code", "outputs_size")),
}
"""What a row of jobs.sql says of a lone endpoint with which nothing has been done yet."""


def view(row: Mapping[str, Any], router: str) -> Job:
    """A row of jobs.sql as people see it."""
    running = row["state"] == State.RUNNING and row["kind"] == "endpoint"
    told = {
        "status": proximl.STATUS[State(row["state"])] if _is_proximl(row) else None,
        "url": _url(row, router) if running else None,
        "priority": named(row["priority"]),
        "spent": money(row["cost"]),
    }
    return msgspec.convert({**row, **told}, Job)


def _is_proximl(row: Mapping[str, Any]) -> bool:
    """Endpoints of their own have come in no other format."""
    return row["kind"] == "endpoint" and row["deployment"] is None and row["model"] is None


def _url(row: Mapping[str, Any], router: str) -> str:
    if row["servable"] is not None:
        return urls.servable(router, row["servable"])
    if row["deployment"] is None:
        return urls.proximl(router, row["id"])
    path = ("owner", "project", "deployment", "version_name", "endpoint")
    return urls.valohai(router, *(row[part] for part in path))


async def read(connection: Connection, job: str, router: str) -> Job:
    row = await connection.fetchrow(JOBS, job, None, None, None, None, None, 1)
    assert row is not None
    return view(dict(row), router)


async def _list(call: Call[JobsQuery, None], project: int | None) -> Page[Job]:
    query, router = call.query, call.context.router_url
    if query.id is not None:
        return await _begin(call, query.id, project)
    before = cursor.number("jobs", query.after)
    values = (None, call.who.only, project, query.state, query.name, before)
    rows = await call.database.fetch(JOBS, *values, limit(query) + 1)
    return page(rows, query, "jobs", "seq", lambda row: view(dict(row), router))


async def _begin(call: Call[JobsQuery, None], begins: str, project: int | None) -> Page[Job]:
    """A few, without further pages: whoever asks looks for one."""
    query, router = call.query, call.context.router_url
    if not ID.fullmatch(begins):
        return Page(items=[])
    values = (begins, call.who.only, project, query.state, query.name, min(limit(query), FEW))
    async with call.database.connection() as connection:
        found = await connection.fetch(JOBS_BEGIN, *values)
        return Page(items=[await read(connection, row["id"], router) for row in found])


async def index(call: Call[JobsQuery, None]) -> Answer:
    return Answer(await _list(call, None))


async def of_project(call: Call[JobsQuery, None]) -> Answer:
    return Answer(await _list(call, (await call.project()).seq))


async def find(call: Call[Any, Any]) -> Job:
    """The job in the path."""
    values = (call.path["job"], call.who.only, None, None, None, None, 1)
    row = await call.database.row(JOBS, *values)
    if row is None:
        raise refused.missing("job")
    return view(dict(row), call.context.router_url)


async def show(call: Call[NoQuery, None]) -> Answer:
    return Answer(await find(call))


async def stop(call: Call[NoQuery, Empty]) -> Answer:
    return await _move(call, JobStopping, State.STOPPING, State.STOPPED)


async def restart(call: Call[NoQuery, Empty]) -> Answer:
    return await _move(call, JobRestarted)


async def terminate(call: Call[NoQuery, Empty]) -> Answer:
    return await _move(call, JobTerminated, State.TERMINATED)


SHORT: Final = 2_000  # characters of a sample on a command line
NO_IMAGE: Final = {
    VersionState.BUILDING: "it is still being built: try again when the version is ready",
    VersionState.FAILED: "its version could not be built, so it can only be terminated",
}
Moved = type[JobStopping] | type[JobRestarted] | type[JobTerminated]


async def _move(call: Call[NoQuery, Empty], kind: Moved, *done: State) -> Answer:
    """Move the job, unless it is in one of the states that were wanted already."""
    router = call.context.router_url

    async def write(connection: Connection) -> Answer:
        row = await connection.fetchrow(JOB_LOCK, call.path["job"], call.who.only)
        if row is None:
            raise refused.missing("job")
        check_free(row)
        state = State(row["state"])
        if state not in done:
            if state not in MOVES[kind].sources:
                raise refused.conflict("job-state", f"The job is {state}", why_not(kind, state))
            if kind is JobRestarted and row["version_state"] != VersionState.READY:
                raise refused.conflict(
                    "no-image", "The job has no image", NO_IMAGE[row["version_state"]]
                )
            fact = kind(job=JobId(row["id"]), attempt=row["attempt"], by=call.who.token)
            moved = await advance(connection, fact)
            assert moved  # the row is held
            if isinstance(fact, JobRestarted):
                await connection.execute(JOB_UNHURRY, fact.job)
                await _begin_anew(connection, fact)
            if kind is JobTerminated and not row["serves_model"]:
                await forsake(connection, VersionId(row["version"]))
        return Answer(await read(connection, row["id"], router))

    return await call.once(write)


async def _begin_anew(connection: Connection, fact: JobRestarted) -> None:
    """With the least, where what was asked of the earlier run said how many copies it had."""
    row = await connection.fetchrow(JOB_DEFINITION, fact.job)
    assert row is not None
    endpoint = msgspec.convert(row["definition"], Definition).endpoint(row["endpoint"])
    scaling = endpoint.autoscaling
    if scaling is not None and scaling.by_demand:
        attempt = fact.attempt + 1
        await scale(connection, JobScaled(job=fact.job, attempt=attempt, copies=scaling.min))


def check_free(row: asyncpg.Record) -> None:
    """A row of job_lock.sql. Refused when an application needs the job as it is."""
    if row["application"] is not None:
        raise refused.conflict(
            "application-job",
            "The job is part of an application",
            f"apply the application {row['application']} anew to change what serves it, "
            "or remove it to end that",
        )


def why_not(kind: type[JobFact], state: State) -> str:
    """What to do instead."""
    if state in (State.FAILED, State.FINISHED):
        return f"a {state} job can only be terminated"
    if kind is JobTerminated and (state in LIVE or state is State.STOPPING):
        return "stop it first" if state in LIVE else "wait until it has stopped"
    if kind is JobRestarted and (state in LIVE or state is State.STOPPING):
        return "stop it first" if state in LIVE else "wait until it has stopped"
    return f"nothing more can be done with a job that is {state}"


async def connection(call: Call[NoQuery, None]) -> Answer:
    job = await find(call)
    if job.kind == "batch":
        raise refused.conflict("batch-job", "A batch job takes no requests", "it runs to its end")
    if job.url is None:
        why = f": {job.reason}" if job.reason else ""
        raise refused.conflict("not-running", "The job does not run", f"it is {job.state}{why}")
    row = await call.database.row(JOB_DEFINITION, job.id)
    assert row is not None
    endpoint = msgspec.convert(row["definition"], Definition).endpoint(row["endpoint"])
    routes = list(endpoint.entry.routes) if isinstance(endpoint.entry, Routes) else []
    return Answer(Connect(url=job.url, example=example(job.url, endpoint), routes=routes))


def predict(url: str, contract: Contract) -> str:
    """A curl command line that sends a sample; a large one comes from generate-inputs."""
    sent = msgspec.json.encode(sample(contract)).decode()
    data = shlex.quote(sent) if len(sent) <= SHORT else "@inputs.json"
    return f"curl {shlex.quote(url)} -H 'Content-Type: application/json' -d {data}"


def example(url: str, endpoint: Endpoint) -> str:
    """A curl command line that calls the endpoint."""
    if isinstance(endpoint.entry, Model):
        return predict(url, endpoint.entry.contract)
    if not isinstance(endpoint.entry, Routes):
        return f"curl {shlex.quote(url + '/')}"
    route = endpoint.entry.routes[0]
    target = shlex.quote(url + route.path)
    if not route.body:
        return f"curl -X {route.verb} {target}"
    sample = {parameter.name: SAMPLES[parameter.type] for parameter in route.body}
    data = shlex.quote(msgspec.json.encode(sample).decode())
    return f"curl -X {route.verb} {target} -H 'Content-Type: application/json' -d {data}"
