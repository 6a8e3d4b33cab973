"""How many copies a job has, when somebody asks for another number."""

from __future__ import annotations

import msgspec

from services.api import gpus, jobs, refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.definitions import able
from services.api.several import check
from services.api.types import NoQuery, Scale
from shared.application import Configuration
from shared.database import jobs as table
from shared.database.pool import Connection
from shared.endpoint import Definition, Endpoint, Gpus
from shared.events import JobScaled
from shared.ids import JobId
from shared.lifecycle import LIVE, State


async def scale(call: Call[NoQuery, Scale]) -> Answer:
    """Scaling twice is scaling once: what is so already stays as it is."""
    copies = call.body.copies

    async def write(connection: Connection) -> Answer:
        row = await connection.fetchrow(jobs.JOB_LOCK, call.path["job"], call.who.only)
        if row is None:
            raise refused.missing("job")
        jobs.check_free(row)
        if row["kind"] == "batch":
            why = "run it as an array to have several of it"
            raise refused.conflict("batch-job", "A batch job has no copies", why)
        if State(row["state"]) not in LIVE:
            why = "scale it when it has been started again"
            if row["state"] not in (State.STOPPING, State.STOPPED):
                why = jobs.why_not(JobScaled, State(row["state"]))
            raise refused.conflict("job-state", f"The job is {row['state']}", why)
        check(copies, row["target"], "copies")
        await _check_room(connection, row["id"], row["target"], copies, row["copies"])
        job, attempt = JobId(row["id"]), row["attempt"]
        fact = JobScaled(job=job, attempt=attempt, copies=copies, by=call.who.token)
        await table.scale(connection, fact)
        return Answer(await jobs.read(connection, job, call.context.router_url))

    return await call.once(write)


def configured(endpoint: Endpoint, settings: Configuration) -> Endpoint:
    """As far as copies of it go: a servable runs as its configuration says."""
    count = able.gpus(settings)
    return msgspec.structs.replace(
        endpoint,
        autoscaling=settings.autoscaling or endpoint.autoscaling,
        gpus=Gpus(count=count) if count else endpoint.gpus,
    )


async def _check_room(
    connection: Connection, job: str, target: str, copies: int, before: int
) -> None:
    row = await connection.fetchrow(jobs.JOB_DEFINITION, job)
    assert row is not None
    endpoint = configured(
        msgspec.convert(row["definition"], Definition).endpoint(row["endpoint"]),
        msgspec.convert(row["configuration"], Configuration),
    )
    if endpoint.autoscaling is not None:
        least, most = endpoint.autoscaling.min, endpoint.autoscaling.max
        raise refused.conflict(
            "autoscaled",
            f"The {'platform' if endpoint.autoscaling.by_demand else 'target'} scales this job",
            f"its endpoint has autoscaling, from {least} to {most} copies",
        )
    if copies <= before:  # giving back is always possible
        return
    error = gpus.room(endpoint, copies, await gpus.stock_of(connection, target), "copies")
    if error is not None:
        raise error
