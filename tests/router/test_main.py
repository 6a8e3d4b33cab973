"""The router put together as it runs, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.router.main import Config, _keys, compose
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import Misconfigured, read
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.events import JobPlaced, JobQueued, JobStarted, JobStopping
from shared.service import Floor
from tests.ports import free_port
from tests.router.conftest import PREFIX, Router
from tests.router.origin import Origin, ok, origin
from tests.router.test_refresh import JOB, event, jobs

__all__ = ["jobs"]


async def until(router: Router, status: int, path: str = PREFIX) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                if (await router.ask(path)).status == status:
                    return
            except OSError:  # the door is not open yet
                pass
            await asyncio.sleep(0.01)


async def test_traffic_follows_what_is_announced(
    database: Database, database_url: str, jobs: PostgresJobs, tmp_path: Path
) -> None:
    bus = LocalBus()
    config = read(
        Config,
        {
            "DATABASE_URL": database_url,
            "ROUTER_PORT": str(free_port()),
            "ROUTER_GRPC_PORT": "0",
            "GRACE": "3",
        },
    )
    router = Router(None, None, None, config.router_port)  # type: ignore[arg-type]
    stopping = asyncio.Event()
    floor = Floor(database, bus, Blobs.open(f"file:{tmp_path}"))
    async with (
        origin(ok(b"served")) as found,
        compose(config, floor) as loops,
        asyncio.TaskGroup() as group,
    ):
        for loop in loops:
            group.create_task(loop(stopping))  # type: ignore[arg-type]
        await until(router, 200, "/readyz")
        assert (await router.ask(PREFIX)).problem == "not-running"
        await begin(bus, jobs, found)
        await until(router, 200)
        assert (await router.ask("/endpoints/" + JOB)).body == b"served"
        stop = JobStopping(job=JOB)
        assert await jobs.advance(stop)
        async with bus.announcer() as announce:
            await announce([event(stop)])
        await until(router, 503)
        assert b"slipway_router_requests_total" in (await router.ask("/metrics")).body
        stopping.set()
    for writer in router.clients:
        writer.close()


async def begin(bus: LocalBus, jobs: PostgresJobs, found: Origin) -> None:
    placed, started = JobPlaced(job=JOB), JobStarted(job=JOB, address=found.address)
    assert await jobs.advance(JobQueued(job=JOB))
    assert await jobs.place(placed)
    assert await jobs.advance(started)
    async with bus.announcer() as announce:
        await announce([event(placed), event(started)])


@pytest.mark.parametrize("key", ["short", "k" * 32 + ",short"])
def test_a_key_that_could_be_guessed_ends_the_process_and_is_not_told(key: str) -> None:
    with pytest.raises(Misconfigured, match="DOORMAN_KEY") as ended:
        _keys(key)
    assert "short" not in str(ended.value)


def test_every_setting_has_a_default_but_the_database() -> None:
    assert read(Config, {"DATABASE_URL": "x"}).router_port == 8000
