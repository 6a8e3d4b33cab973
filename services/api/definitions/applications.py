"""Applications, written: a revision, and servables for what the present ones don't serve.

Servables that run the same version in the same way are shared with the new revision, so that a
change of weights starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import asyncpg
import msgspec

from services.api import refused
from services.api.definitions.chosen import Chosen, choose
from services.api.definitions.configurations import find as find_configuration
from services.api.definitions.found import Versions
from services.api.definitions.servables import make
from services.api.definitions.work import Changed, Work
from services.api.formats.hydrosphere.application import Application
from services.api.formats.hydrosphere.document import Document
from services.api.formats.hydrosphere.report import Report
from services.api.types_hydrosphere import Change
from shared import ids
from shared.application import ApplicationState, Configuration, Graph, Stage, Variant
from shared.database.events import announce
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import ApplicationSubmitted
from shared.ids import ApplicationId, JobId
from shared.lifecycle import LIVE
from shared.problems import Wrong

APPLICATION_NAME = sql("services.api", "application_name")
APPLICATION_LOCK = sql("services.api", "application_lock")
APPLICATION_MAKE = sql("services.api", "application_make")
APPLICATION_REVISE = sql("services.api", "application_revise")
APPLICATION_SERVABLES = sql("services.api", "application_servables")
REVISION_MAKE = sql("services.api", "revision_make")
REVISION = sql("services.api", "revision")

Reports = Mapping[str, Report]
"""Of the deployment configurations that the same request writes."""


async def write(
    work: Work, documents: Sequence[Document[Application]], reports: Reports
) -> list[Changed]:
    versions = Versions(work)
    changes = []
    for document in sorted(documents, key=lambda document: document.value.name):
        row = await _lock(work, document.value.name)
        if row is not None:
            work.stays(f"the application {row['name']}", row["target"])
        target = work.asked if row is None else row["target"]
        chosen = await choose(
            document, versions, lambda name: find_configuration(work, name), target, reports
        )
        if chosen is not None and (chosen := await _able(work, document, chosen, reports)):
            await _note_newer(versions, document, chosen)
            changes.append((document.index, await _write(work, document, chosen, row)))
    return changes


async def _able(
    work: Work, document: Document[Application], chosen: Chosen, reports: Reports
) -> Chosen | None:
    """What was chosen, if its target has the GPUs for it."""
    stock = await work.stock(chosen.target)
    return chosen if chosen.fits(stock, document.report, reports) else None


async def _note_newer(versions: Versions, document: Document[Application], chosen: Chosen) -> None:
    """A new version serves when an application names it, which is easily forgotten."""
    named = [each.found for stage in chosen.stages for each in stage]
    for model, found in {each.model: each for each in named}.items():
        newer = await versions.newer(found)
        if newer is not None and newer not in named:
            document.report.note("", f"{model} has a newer version, {newer.name}, not named here")


async def _lock(work: Work, name: str) -> asyncpg.Record | None:
    """The application of that name, which only this transaction makes or changes from now on."""
    await work.connection.execute(APPLICATION_NAME, name)
    row = await work.connection.fetchrow(APPLICATION_LOCK, name)
    if row is not None and row["project"] != work.project.seq:
        raise _taken(name)
    return row


def _taken(name: str) -> refused.Refused:
    title, why = "The name is taken", "addresses of applications have no owner in them"
    wrong = Wrong(field="name", message=f"{name} is the name of another project's application")
    return refused.conflict("name-taken", title, why, wrong)


async def _write(
    work: Work, document: Document[Application], chosen: Chosen, row: asyncpg.Record | None
) -> Change:
    action: Literal["create", "update", "unchanged"] = "create" if row is None else "update"
    if row is None:
        application, revision = await _made(work, document.value.name, chosen.target), 1
        pool: list[asyncpg.Record] = []
    else:
        application, revision = ApplicationId(row["id"]), int(row["revision"])
        if row["state"] != ApplicationState.FAILED and await _same(work, row, chosen):
            action = "unchanged"
        else:
            pool, revision = await _servables(work, row), revision + 1
            await work.connection.execute(APPLICATION_REVISE, application, revision)
    if action != "unchanged":
        graph = await _graph(work, application, chosen, pool)
        values = (application, revision, graph, document.written)
        await work.connection.execute(REVISION_MAKE, *values)
        name = document.value.name
        fact = ApplicationSubmitted(
            application=application, name=name, revision=revision, by=work.by
        )
        await announce(work.connection, fact, project=work.project.seq, source=work.project.source)
    return Change(
        kind="Application",
        name=document.value.name,
        action=action,
        version=str(revision),
        id=application,
        source=document.source,
        notes=list(document.report.notes),
    )


async def _made(work: Work, name: str, target: str) -> ApplicationId:
    made = ApplicationId(ids.new("a"))
    values = (made, work.project.seq, name, target)
    if await work.connection.fetchval(APPLICATION_MAKE, *values) is None:
        raise Transient("the name of an application was taken at this moment")
    return made


async def _same(work: Work, row: asyncpg.Record, chosen: Chosen) -> bool:
    """Whether the newest revision is this one, and well: versions, weights, and how they run."""
    found = await work.connection.fetchval(REVISION, row["id"], row["revision"])
    graph = msgspec.convert(found, Graph)
    jobs = await work.connection.fetch(APPLICATION_SERVABLES, list(graph.jobs), list(LIVE))
    runs = {job["id"]: msgspec.convert(job["configuration"], Configuration) for job in jobs}
    return [
        [(v.version, v.weight, v.configuration, runs.get(v.job)) for v in stage.variants]
        for stage in graph.stages
    ] == [
        [(each.found.version, each.weight, each.configuration, each.settings) for each in stage]
        for stage in chosen.stages
    ]


async def _servables(work: Work, row: asyncpg.Record) -> list[asyncpg.Record]:
    """Those of the live and of the newest revision that are wanted and well."""
    jobs: list[JobId] = []
    for revision in {row["live"], row["revision"]} - {None}:
        found = await work.connection.fetchrow(REVISION, row["id"], revision)
        assert found is not None
        if found["retired_at"] is None:  # else its servables are about to end
            jobs += msgspec.convert(found["graph"], Graph).jobs
    return await work.connection.fetch(APPLICATION_SERVABLES, jobs, list(LIVE))


async def _graph(
    work: Work, application: ApplicationId, chosen: Chosen, pool: list[asyncpg.Record]
) -> Graph:
    """Each servable is used once."""
    free = [(job, msgspec.convert(job["configuration"], Configuration)) for job in pool]
    stages = []
    for stage in chosen.stages:
        variants = []
        for each in stage:
            wanted: tuple[Any, ...] = (each.found.version, each.settings)
            shared = next((f for f in free if (f[0]["version"], f[1]) == wanted), None)
            if shared is not None:
                free.remove(shared)
                job = JobId(shared[0]["id"])
            else:
                job = (await make(work, each.found, each.settings, application)).job
            variants.append(
                Variant(
                    model=each.found.model,
                    version_name=each.found.name,
                    version=each.found.version,
                    weight=each.weight,
                    job=job,
                    configuration=each.configuration,
                )
            )
        stages.append(Stage(variants=tuple(variants)))
    return Graph(stages=tuple(stages))
