"""The router: sends traffic to endpoints. Only this file knows which parts are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web
from aiohttp.http import HttpRequestParser

from services.router.body import Limits
from services.router.demand import Demands
from services.router.door import Door, Options
from services.router.gateway import gateway as gateways
from services.router.gateway.gateway import Gateway
from services.router.gateway.http import Pages
from services.router.gateway.intake import Room
from services.router.gateway.runtime import Ways
from services.router.gateway.sampling import Rates, Sampling
from services.router.grpc import server as grpc
from services.router.inference import pages as inference
from services.router.proxy import Proxy
from services.router.refresh import Refresh
from services.router.server import Server
from services.router.snapshot import PostgresSource
from services.router.table import Table
from shared import config, doorman, heap, service, unary
from shared.config import Misconfigured
from shared.run import Loop, every
from shared.service import Floor
from shared.telemetry import Telemetry


class Config(config.Config, frozen=True, kw_only=True):
    router_port: int = 8000
    router_grpc_port: int = 9090  # 0: any that is free
    router_domain: str = "localhost"  # `<job>.<domain>` is a job's own host
    router_scheme: Literal["http", "https"] = "http"  # by which clients reach it
    doorman_key: str = ""  # of this platform's doormen; several, with commas, while it is changed
    max_body: int = 0  # bytes; 0: bodies are streamed, however large
    connect_patience: float = 2.0  # seconds to wait for a server between two of its lives
    news_patience: float = 1.0  # seconds to wait for the news of a route that a client knows of
    gateway_deadline: float = 60.0  # seconds for a prediction, all its stages together
    gateway_body: int = 512 << 20  # bytes of a prediction's body ...
    gateway_bodies: int = 1024 << 20  # ... and of all that are in hand
    gateway_answer: int = 257 << 20  # bytes that a model may answer
    gateway_message: int = 256 << 20  # bytes of a prediction over gRPC
    gateway_lists: bool = True  # whether anybody may see which applications and servables there are
    gateway_samples: float = 10.0  # a second of each version that are kept to be profiled; 0: none


def serve(
    door: Door,
    *,
    host: str,
    port: int,
    linger: float = 0.0,
    grace: float = 10.0,
    opened: Callable[[int], None] = lambda port: None,
) -> Loop:
    """A loop that serves `door`, and closes as politely as shared.http does.

    `opened` is told the port, which is of use when `port` is 0.
    """

    async def loop(stopping: asyncio.Event) -> None:
        runner = web.ServerRunner(Server(door.handle), handle_signals=False, shutdown_timeout=grace)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host=host, port=port, reuse_address=True, backlog=1024)
            await site.start()
            opened(runner.addresses[0][1])
            await stopping.wait()
            door.closing = True
            await asyncio.sleep(linger)
        finally:
            await runner.cleanup()

    return loop


@asynccontextmanager
async def compose(config: Config, floor: Floor) -> AsyncIterator[Sequence[Loop]]:
    # the parser in Python reads some requests otherwise than the one in C that is tested here
    assert HttpRequestParser.__module__ == "aiohttp._http_parser", "aiohttp lacks its C parser"
    table = Table()
    refresh = Refresh(PostgresSource(floor.database), table)
    telemetry = Telemetry(floor.telemetry)
    keys = _keys(config.doorman_key)
    ways = Ways(
        patience=config.connect_patience,
        keys=keys,
        limits=unary.Limits(message=config.gateway_answer),
    )
    sampling = Sampling(floor.database, telemetry, Rates(each=config.gateway_samples))
    gateway = Gateway(
        table,
        telemetry,
        gateways.Options(deadline=config.gateway_deadline, news=config.news_patience, ways=ways),
        sampler=sampling,
    )
    pages = Pages(
        gateway,
        Room(body=config.gateway_body, bodies=config.gateway_bodies),
        lists=config.gateway_lists,
    )

    def ready() -> str | None:
        return None if refresh.ready.is_set() else "the routes are not known yet"

    door = Door(
        table,
        Proxy(),
        telemetry,
        ready,
        Options(
            domain=config.router_domain.lower().encode(),
            scheme=config.router_scheme,
            limits=Limits(size=config.max_body),
            patience=config.connect_patience,
            keys=keys,
            news=config.news_patience,
        ),
        [pages, inference.Pages(gateway, ready, pages.intake, pages.aside)],
    )

    async def forget() -> None:
        door.forget()
        gateway.forget()
        await pages.forget()

    # what is in hand is cut off before the process itself is
    grace = max(1.0, config.grace - config.linger - 1.0)
    try:
        yield [
            *refresh.loops(floor.bus),
            sampling.loop,
            Demands(floor.database, table.scaled, door.gate).loop,
            every(60.0, forget),
            serve(
                door,
                host=config.host,
                port=config.router_port,
                linger=config.linger,
                grace=grace,
            ),
            grpc.serve(
                grpc.services(gateway, ready, pages.intake),
                host=config.host,
                port=config.router_grpc_port,
                limits=grpc.Limits(message=config.gateway_message),
                linger=config.linger,
                grace=grace,
            ),
        ]
    finally:
        await gateway.close()
        await pages.close()


def _keys(setting: str) -> tuple[str, ...]:
    try:
        return doorman.keys(setting)
    except ValueError as error:
        raise Misconfigured(f"configuration: DOORMAN_KEY: {error}") from error


def main() -> None:
    heap.keep()
    service.main(Config, compose)
