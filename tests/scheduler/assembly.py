"""What the tests of applications stand on: models, and applications applied as the API would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.scheduler.settle import Assembly, Servable
from shared import ids
from shared.application import Configuration, Graph, Stage, Variant
from shared.contract import Contract, Field
from shared.database import applications
from shared.database.applications import Application
from shared.endpoint import Definition, Endpoint, Model
from shared.events import ApplicationRemoved, ApplicationSubmitted, JobQueued
from shared.ids import ApplicationId, JobId, VersionId
from shared.lifecycle import State
from tests.scheduler import stage

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


class Applied(stage.Stage):
    async def model(self, name: str, *, state: str = "ready", number: str = "1") -> VersionId:
        """A version of a model, built unless its `state` says otherwise."""
        deployment, version = f"d-{name}", VersionId(ids.new("v"))
        await self.database.execute(
            "INSERT INTO deployments (id, project, name, target, kind)"
            " VALUES ($1, 1, $2, 'process', 'model') ON CONFLICT DO NOTHING",
            deployment,
            name,
        )
        await self.database.execute(
            "INSERT INTO versions (id, project, deployment, name, state, definition, images)"
            " VALUES ($1, 1, $2, $3, $4, $5::jsonb, $6::jsonb)",
            version,
            deployment,
            number,
            state,
            Definition(source="sha256:" + "0" * 64, endpoints=(ENDPOINT,)),
            {"model": stage.IMAGE},
        )
        return version

    async def apply(
        self,
        name: str,
        *stages: Mapping[VersionId, int],
        target: str = "process",
        anew: Sequence[VersionId] = (),
        configuration: Configuration | None = None,
    ) -> Application:
        """As the API does: what the live revision serves is shared, but for `anew`."""
        async with self.database.transaction() as connection:
            before = await applications.held(connection, name)
            served: dict[VersionId, JobId] = {}
            if before is not None and before.live is not None:
                live = await applications.revision(connection, before.id, before.live)
                assert live is not None
                served = {v.version: v.job for s in live.graph.stages for v in s.variants}
            made: list[tuple[JobId, VersionId]] = []

            def job(version: VersionId) -> JobId:
                if version in served and version not in anew:
                    return served[version]
                made.append((JobId(ids.new("j")), version))
                return made[-1][0]

            graph = Graph(
                stages=tuple(
                    Stage(
                        variants=tuple(
                            Variant(
                                model=f"model-{version}",
                                version_name="1",
                                version=version,
                                weight=weight,
                                job=job(version),
                            )
                            for version, weight in variants.items()
                        )
                    )
                    for variants in stages
                )
            )
            fact = ApplicationSubmitted(
                application=ApplicationId(ids.new("a")) if before is None else before.id,
                name=name,
                revision=1 if before is None else before.revision + 1,
            )
            if before is None:
                assert await applications.make(
                    connection, fact, project=1, target=target, graph=graph, written={}
                )
            else:
                assert await applications.revise(connection, fact, graph=graph, written={})
            for each, version in made:
                await connection.execute(
                    "INSERT INTO jobs (id, project, name, version, endpoint, target, servable,"
                    " application, configuration)"
                    " VALUES ($1, 1, $1, $2, 'model', $3, $1, $4, $5::jsonb)",
                    each,
                    version,
                    target,
                    fact.application,
                    configuration or Configuration(),
                )
        for each, _ in made:
            await self.say(JobQueued(job=each))
        return await self.application(fact.application)

    async def remove(self, application: Application) -> bool:
        now = await self.application(application.id)
        fact = ApplicationRemoved(application=now.id, name=now.name, revision=now.revision)
        async with self.database.transaction() as connection:
            return await applications.remove(connection, fact)

    async def application(self, application: ApplicationId) -> Application:
        found = await applications.get(self.database, application)
        assert found is not None
        return found

    async def servables(self, application: Application, revision: int) -> tuple[JobId, ...]:
        async with self.database.connection() as connection:
            found = await applications.revision(connection, application.id, revision)
        assert found is not None
        return found.graph.jobs

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
