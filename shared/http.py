"""An HTTP door that closes politely, with /livez, /readyz and /metrics on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from shared.run import Loop

KEEPALIVE: Final = 15.0
"""Seconds an idle connection is kept, and that a request's head may take (aiohttp uses one limit
for both)."""

Ready = Callable[[], Awaitable[str | None]]
"""Why the service can't do its work now, or None when it can."""


async def always_ready() -> str | None:
    return None


def health(stopping: asyncio.Event, ready: Ready) -> list[web.RouteDef]:
    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = "stopping" if stopping.is_set() else await ready()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    return [web.get("/livez", livez), web.get("/readyz", readyz)]


def serve(
    app: web.Application,
    *,
    host: str,
    port: int,
    ready: Ready = always_ready,
    linger: float = 0.0,
    grace: float = 10.0,
) -> Loop:
    """A loop that serves `app`.

    Told to stop, it first fails /readyz for `linger` seconds and goes on serving, so that load
    balancers send nobody new; then it closes the door and gives what is in hand `grace` seconds.
    """

    async def loop(stopping: asyncio.Event) -> None:
        app.add_routes(health(stopping, ready))
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            shutdown_timeout=grace,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, host=host, port=port, reuse_address=True)
            await site.start()
            await stopping.wait()
            await asyncio.sleep(linger)
        finally:
            await runner.cleanup()

    return loop
