"""What the gateway knows by name follows PostgreSQL, by events and without them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.router.main import Config, compose
from services.router.refresh import Refresh
from services.router.snapshot import PostgresSource
from services.router.table import Table
from shared.application import Graph, Stage, Variant
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import read
from shared.contract import Contract
from shared.database.pool import Database
from shared.endpoint import Definition, Endpoint, Model
from shared.events import ApplicationReady, ApplicationRemoved, JobStarted
from shared.ids import ApplicationId, JobId, VersionId
from shared.service import Floor
from tests.ports import free_port
from tests.router.conftest import Router
from tests.router.gateway.conftest import NUMBER, contract, field, served
from tests.router.test_main import until
from tests.router.test_refresh import Rig, event

APPLICATION = ApplicationId("a1")
TEXT = contract(field("t", "string", (-1,)), outputs=(field("x"),))


def definition(given: Contract) -> Definition:
    return Definition(
        source="sha256:" + "0" * 64,
        endpoints=(
            Endpoint(
                name="model",
                format="hydrosphere",
                entry=Model(contract=given),
                port=9091,
                readiness="listening",
            ),
        ),
    )


def graph(*jobs: str) -> Graph:
    """A stage for each job, whose version is named after it."""
    return Graph(
        stages=tuple(
            Stage(
                variants=(
                    Variant(
                        model="claims",
                        version_name="1",
                        version=VersionId(f"v{job}"),
                        weight=100,
                        job=JobId(job),
                    ),
                )
            )
            for job in jobs
        )
    )


async def execute(database: Database, query: str, *values: Any) -> None:
    await database.execute(query, *values)


@pytest.fixture
async def shop(database: Database) -> Database:
    """A model with two versions that each have a job, and an application of the first."""
    await execute(database, "INSERT INTO owners (name) VALUES ('ann')")
    await execute(database, "INSERT INTO projects (owner, name) VALUES ('ann', 'shop')")
    await execute(
        database,
        "INSERT INTO deployments (id, project, name, target, kind)"
        " SELECT 'd1', seq, 'claims', 'here', 'model' FROM projects",
    )
    for job, name, given in (("j1", "1", TEXT), ("j2", "2", NUMBER)):
        await execute(
            database,
            "INSERT INTO versions (id, project, deployment, name, definition)"
            " SELECT $1, seq, 'd1', $2, $3 FROM projects",
            f"v{job}",
            name,
            definition(given),
        )
        await execute(
            database,
            "INSERT INTO jobs (id, project, name, version, endpoint, target, servable)"
            " SELECT $1, seq, $1, $2, 'model', 'here', $3 FROM projects",
            job,
            f"v{job}",
            f"claims-{name}-brave-fox",
        )
    await execute(
        database,
        "INSERT INTO applications (id, project, name, target, state)"
        " SELECT 'a1', seq, 'sort', 'here', 'assembling' FROM projects",
    )
    for revision, found in ((1, graph("j1", "j2")), (2, graph("j2"))):
        await execute(
            database,
            "INSERT INTO revisions (application, revision, graph, written)"
            " VALUES ('a1', $1, $2, '{}')",
            revision,
            found,
        )
    return database


async def live(database: Database, revision: int | None, state: str = "ready") -> None:
    query = "UPDATE applications SET live = $1, state = $2::application_state"
    await execute(database, query, revision, state)


async def test_models_are_known_by_the_names_of_their_servables(shop: Database) -> None:
    table = Table()
    await Refresh(PostgresSource(shop), table).everything()
    found = table.targets.servable("claims-1-brave-fox")
    assert found is not None
    assert (found.inputs, found.outputs, found.version) == (TEXT.inputs, TEXT.outputs, "1")
    assert found.stages[0].variants[0].model == "claims"
    route = table.job("j1")
    assert route is not None
    assert (route.model, route.deployment, route.contract) == ("claims", None, TEXT)


async def test_an_application_answers_by_its_live_revision(shop: Database) -> None:
    rig = Rig(PostgresSource(shop))
    async with rig.running():
        found = rig.table.targets.application("sort")
        assert found is not None
        assert (found.stages, found.reason) == ((), "assembling")

        await live(shop, 1)
        ready = ApplicationReady(application=APPLICATION, name="sort", revision=1)
        await rig.announce(ready)
        await rig.until(lambda: _stages(rig.table) == [["j1"], ["j2"]])
        found = rig.table.targets.application("sort")
        assert found is not None
        assert (found.inputs, found.outputs) == (TEXT.inputs, NUMBER.outputs)
        assert found.version == "1"

        await live(shop, 2)
        await rig.announce(msgspec.structs.replace(ready, revision=2))
        await rig.until(lambda: _stages(rig.table) == [["j2"]])

        await live(shop, 2, "removed")
        await rig.announce(ApplicationRemoved(application=APPLICATION, name="sort", revision=2))
        await rig.until(lambda: rig.table.targets.application("sort") is None)


async def test_what_an_application_needs_is_looked_at_with_it(shop: Database) -> None:
    """The news of the job may be lost or late; that of the application is enough."""
    table = Table()
    refresh = Refresh(PostgresSource(shop), table)
    await refresh.everything()
    await live(shop, 2)
    await execute(
        shop, "UPDATE jobs SET state = 'running', addresses = '{http://127.0.0.1:1}', attempt = 1"
    )
    ready = ApplicationReady(application=APPLICATION, name="sort", revision=2)
    await refresh.on_event(event(ready))
    await refresh.marked()
    route = table.job("j2")
    assert route is not None
    assert route.runs
    assert _stages(table) == [["j2"]]


async def test_a_servable_that_is_over_has_no_name_any_more(shop: Database) -> None:
    table = Table()
    refresh = Refresh(PostgresSource(shop), table)
    await refresh.everything()
    await execute(shop, "UPDATE jobs SET state = 'terminated' WHERE id = 'j1'")
    await refresh.on_event(event(JobStarted(job=JobId("j1"), address="")))
    await refresh.marked()
    assert table.targets.servable("claims-1-brave-fox") is None
    assert table.targets.servable("claims-2-brave-fox") is not None


def _stages(table: Table) -> list[list[str]]:
    found = table.targets.application("sort")
    assert found is not None
    return [[variant.job for variant in stage.variants] for stage in found.stages]


async def test_an_application_that_can_not_be_read_is_not_the_end_of_others(
    shop: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await execute(
        shop,
        "INSERT INTO applications (id, project, name, target, live)"
        " SELECT 'a2', seq, 'odd', 'here', 1 FROM projects",
    )
    lost = graph("j9")
    query = (
        "INSERT INTO revisions (application, revision, graph, written) VALUES ('a2', 1, $1, '{}')"
    )
    await execute(shop, query, lost)
    await live(shop, 1)
    table = Table()
    await Refresh(PostgresSource(shop), table).everything()
    assert _stages(table) == [["j1"], ["j2"]]
    assert "the application a2 can't be read" in caplog.text


async def test_the_router_as_it_runs_answers_for_an_application(
    shop: Database, database_url: str, tmp_path: Path
) -> None:
    bus, stopping = LocalBus(), asyncio.Event()
    environ = {"DATABASE_URL": database_url, "GRACE": "3"}
    environ |= {"ROUTER_PORT": str(free_port()), "ROUTER_GRPC_PORT": str(free_port())}
    config = read(Config, environ)
    floor = Floor(shop, bus, Blobs.open(f"file:{tmp_path}"))
    router = Router(None, None, None, config.router_port)  # type: ignore[arg-type]
    ready = ApplicationReady(application=APPLICATION, name="sort", revision=2)
    with served() as runtime:
        async with compose(config, floor) as loops, asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop(stopping))  # type: ignore[arg-type]
            await until(router, 200, "/readyz")
            await execute(
                shop,
                "UPDATE jobs SET state = 'running', attempt = 1, addresses = $1 WHERE id = 'j2'",
                [runtime.address],
            )
            await live(shop, 2)
            async with bus.announcer() as announce:
                await announce([event(ready)])
            got = await router.ask("/gateway/application/sort", method="POST", body=b'{"x":1}')
            assert (got.status, got.body) == (200, b'{"x":1.0}')
            for writer in router.clients:
                writer.close()
            stopping.set()
