"""The door opens, tells how it is, and closes politely."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import Counter

from shared.http import serve
from shared.telemetry import FloorTelemetry, Telemetry
from tests.ports import free_port


class Door:
    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.stopping = asyncio.Event()
        self._session = session
        self._url = f"http://127.0.0.1:{port}"

    async def get(self, path: str) -> tuple[int, str]:
        async with self._session.get(self._url + path) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def opened(app: web.Application, **options: Any) -> AsyncIterator[Door]:
    port = free_port()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        door = Door(session, port)

        async def run() -> None:
            await serve(app, host="127.0.0.1", port=port, **options)(door.stopping)

        group.create_task(run())
        async with asyncio.timeout(10):
            while True:
                try:
                    await door.get("/livez")
                    break
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.01)
        yield door
        door.stopping.set()


async def test_a_door_that_is_well_says_so() -> None:
    async with opened(web.Application()) as door:
        assert await door.get("/livez") == (200, "ok\n")
        assert await door.get("/readyz") == (200, "ok\n")


async def test_a_door_that_can_not_work_says_why_and_lives() -> None:
    async def ready() -> str | None:
        return "no database"

    async with opened(web.Application(), ready=ready) as door:
        assert await door.get("/readyz") == (503, "no database\n")
        assert await door.get("/livez") == (200, "ok\n")


async def test_told_to_stop_it_is_not_ready_first_and_goes_on_serving_for_a_while() -> None:
    async with opened(web.Application(), linger=0.5) as door:
        door.stopping.set()
        assert await door.get("/readyz") == (503, "stopping\n")
        assert await door.get("/livez") == (200, "ok\n")


async def test_what_is_in_hand_when_it_closes_is_finished() -> None:
    finish, begun = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        begun.set()
        await finish.wait()
        return web.Response(text="done")

    app = web.Application()
    app.add_routes([web.get("/slow", slow)])
    async with opened(app) as door:
        asked = asyncio.create_task(door.get("/slow"))
        await begun.wait()
        door.stopping.set()
        asyncio.get_running_loop().call_later(0.05, finish.set)
        assert await asked == (200, "done")


async def test_metrics_are_those_of_the_service_and_its_floor() -> None:
    floor = FloorTelemetry()
    own = Telemetry(floor)
    Counter("slipway_things", "Things", registry=own.registry).inc(3)
    floor.announced.inc(2)
    async with opened(web.Application(), telemetry=own) as door:
        status, shown = await door.get("/metrics")
    assert status == 200
    assert "slipway_things_total 3.0" in shown
    assert "slipway_events_announced_total 2.0" in shown
    assert "process_resident_memory_bytes" in shown


async def test_metrics_that_the_app_shows_itself_are_left_alone() -> None:
    async def mine(_: web.Request) -> web.Response:
        return web.Response(text="mine")

    app = web.Application()
    app.add_routes([web.get("/metrics", mine)])
    async with opened(app) as door:
        assert await door.get("/metrics") == (200, "mine")


async def test_a_port_that_is_taken_is_an_error_and_not_a_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="address already in use"):
            await serve(web.Application(), host="127.0.0.1", port=port)(asyncio.Event())
