"""What the tests of applications stand on: models, and applications applied as the API would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.scheduler.settle import Assembly, Servable
from shared import ids
from shared.application import ApplicationState, Graph, Variant
from shared.application import Stage as StageOf
from shared.contract import Contract, Field
from shared.database.events import announce
from shared.database.sqlfile import sql
from shared.endpoint import Definition, Endpoint, Model
from shared.events import ApplicationRemoved, ApplicationSubmitted, JobQueued
from shared.ids import ApplicationId, JobId, VersionId
from shared.lifecycle import State
from tests.scheduler.stage import IMAGE, Stage

LOCK = sql("services.api", "application_lock")
MAKE = sql("services.api", "application_make")
REVISE = sql("services.api", "application_revise")
REMOVE = sql("services.api", "application_remove")
REVISION = sql("services.api", "revision")
REVISION_MAKE = sql("services.api", "revision_make")
SERVABLE = sql("services.api", "servable_make")

X = Field(name="x", dtype="int64", shape=())
CONTRACT = Contract(inputs=(X,), outputs=(X,))
ENDPOINT = Endpoint(
    name="model",
    format="hydrosphere",
    entry=Model(contract=CONTRACT),
    port=9091,
    readiness="listening",
)


def assembly(*states: str, reason: str = "", **changes: Any) -> Assembly:
    """Of variants whose jobs are in these states; the failed ones have failed for `reason`."""
    values: dict[str, Any] = {
        "application": "a1",
        "name": "claims",
        "state": "assembling",
        "reason": "",
        "revision": 2,
        "live": 1,
        "servables": tuple(
            Servable(model=f"m{number}", version_name="1", state=State(state), reason=reason)
            for number, state in enumerate(states, 1)
        ),
    }
    return msgspec.convert(values | changes, Assembly)


class Application(msgspec.Struct, frozen=True, kw_only=True):
    id: ApplicationId
    name: str
    state: ApplicationState
    reason: str
    revision: int
    live: int | None


class Applied(Stage):
    async def model(
        self, name: str, *, state: str = "ready", image: str = IMAGE, port: int = ENDPOINT.port
    ) -> VersionId:
        """Version 1 of a model, built unless its `state` says otherwise."""
        endpoint = msgspec.structs.replace(ENDPOINT, port=port)
        deployment, version = f"d-{name}", VersionId(ids.new("v"))
        await self.database.execute(
            "INSERT INTO deployments (id, project, name, target, kind)"
            " VALUES ($1, 1, $2, 'process', 'model') ON CONFLICT DO NOTHING",
            deployment,
            name,
        )
        await self.database.execute(
            "INSERT INTO versions (id, project, deployment, name, state, definition, images)"
            " VALUES ($1, 1, $2, '1', $3, $4::jsonb, $5::jsonb)",
            version,
            deployment,
            state,
            Definition(source="sha256:" + "0" * 64, endpoints=(endpoint,)),
            {"model": image},
        )
        return version

    async def apply(
        self,
        name: str,
        *stages: Mapping[VersionId, int],
        target: str = "process",
        anew: Sequence[VersionId] = (),
    ) -> Application:
        """By the API's own statements: what the live revision serves is shared, but for `anew`."""
        async with self.database.transaction() as connection:
            before = await connection.fetchrow(LOCK, name)
            served: dict[VersionId, JobId] = {}
            if before is None:
                application, revision = ApplicationId(ids.new("a")), 1
                assert await connection.fetchval(MAKE, application, 1, name, target)
            else:
                application, revision = before["id"], before["revision"] + 1
                if before["live"] is not None:
                    live = await connection.fetchval(REVISION, application, before["live"])
                    stages_now = msgspec.convert(live, Graph).stages
                    served = {v.version: v.job for each in stages_now for v in each.variants}
                await connection.execute(REVISE, application, revision)
            made: list[JobId] = []
            graph = []
            for stage in stages:
                variants = []
                for version, weight in stage.items():
                    job = served.get(version)
                    if job is None or version in anew:
                        job = JobId(ids.new("j"))
                        made.append(job)
                        values = (job, 1, job, version, target, 0, 1, application, {})
                        queued = (0, False, False, None, None)
                        assert await connection.fetchval(SERVABLE, *values, *queued)
                    variants.append(
                        Variant(
                            model=f"model-{version}",
                            version_name="1",
                            version=version,
                            weight=weight,
                            job=job,
                        )
                    )
                graph.append(StageOf(variants=tuple(variants)))
            values = (application, revision, Graph(stages=tuple(graph)), {})
            await connection.execute(REVISION_MAKE, *values)
            fact = ApplicationSubmitted(application=application, name=name, revision=revision)
            await announce(connection, fact, project=1, source="/ada/mnist")
        for job in made:
            await self.say(JobQueued(job=job))
        return await self.application(application)

    async def remove(self, application: Application) -> bool:
        async with self.database.transaction() as connection:
            row = await connection.fetchrow(REMOVE, 1, application.name)
            if row is None or row["id"] != application.id:
                return False
            fact = ApplicationRemoved(
                application=application.id, name=application.name, revision=row["revision"]
            )
            await announce(connection, fact, project=1, source="/ada/mnist")
        return True

    async def application(self, application: ApplicationId) -> Application:
        row = await self.database.row("SELECT * FROM applications WHERE id = $1", application)
        assert row is not None
        return msgspec.convert(dict(row), Application)

    async def servables(self, application: Application, revision: int) -> tuple[JobId, ...]:
        found = await self.database.value(REVISION, application.id, revision)
        return msgspec.convert(found, Graph).jobs

    async def retired(self, application: Application) -> list[int]:
        rows = await self.database.fetch(
            "SELECT revision FROM revisions WHERE application = $1 AND retired_at IS NOT NULL"
            " ORDER BY revision",
            application.id,
        )
        return [row["revision"] for row in rows]

    async def told(self, application: Application) -> list[str]:
        """What was announced of it, shortened: `ready`."""
        rows = await self.database.fetch(
            "SELECT type FROM events WHERE subject = $1 ORDER BY seq", application.id
        )
        return [row["type"].split(".")[2] for row in rows]

    async def all_written(self) -> Any:
        """Changes whenever any row is written of applications, too."""
        more = [
            [tuple(row) for row in await self.database.fetch(
                f"SELECT ctid::text, xmin::text FROM {table} ORDER BY ctid"
            )]
            for table in ("applications", "revisions")
        ]  # fmt: skip
        return [await self.written(), more]
