"""An HTTP door that closes politely, with /livez, /readyz and /metrics on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import web

from shared.run import Loop
from shared.telemetry import CONTENT_TYPE, FloorTelemetry, Telemetry

KEEPALIVE: Final = 15.0
"""Seconds an idle connection is kept, and that a request's head may take (aiohttp uses one limit
for both)."""

Ready = Callable[[], Awaitable[str | None]]
"""Why the service can't do its work now, or None when it can."""


async def always_ready() -> str | None:
    return None


Line = Callable[[web.Server], asyncio.Protocol]


def accept(server: web.Server) -> asyncio.Protocol:
    """A connection as aiohttp makes it."""
    return server()


def health(stopping: asyncio.Event, ready: Ready) -> list[web.RouteDef]:
    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = "stopping" if stopping.is_set() else await ready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    return [web.get("/livez", livez), web.get("/readyz", readyz)]


def metrics(telemetry: Telemetry) -> web.RouteDef:
    async def show(_: web.Request) -> web.Response:
        return web.Response(body=telemetry.render(), headers={"Content-Type": CONTENT_TYPE})

    return web.get("/metrics", show)


def serve(
    app: web.Application,
    *,
    host: str,
    port: int,
    ready: Ready = always_ready,
    linger: float = 0.0,
    grace: float = 10.0,
    telemetry: Telemetry | None = None,
    line: Line = accept,
) -> Loop:
    """A loop that serves `app`, with `telemetry` (the process's, if not given) at /metrics unless
    the app shows its own there. `line` makes what speaks HTTP on one connection.

    Told to stop, it first fails /readyz for `linger` seconds and goes on serving, so that load
    balancers send nobody new; then it closes the door and gives what is in hand `grace` seconds.
    """

    async def loop(stopping: asyncio.Event) -> None:
        app.add_routes(health(stopping, ready))
        if not any(resource.canonical == "/metrics" for resource in app.router.resources()):
            app.add_routes([metrics(telemetry or FloorTelemetry())])
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            shutdown_timeout=grace,
        )
        await runner.setup()
        assert runner.server is not None
        try:
            listening = await asyncio.get_running_loop().create_server(
                partial(line, runner.server), host=host, port=port, reuse_address=True, backlog=128
            )
            try:
                await stopping.wait()
                await asyncio.sleep(linger)
            finally:
                listening.close()
        finally:
            await runner.cleanup()

    return loop
