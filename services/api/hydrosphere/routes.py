"""The paths of Hydrosphere's manager API, and what each needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.api import refused
from services.api.context import Context
from services.api.hydrosphere import ask as asks
from services.api.hydrosphere import errors, manager, streams, training
from services.api.hydrosphere.ask import Ask
from services.api.types import Role

V2: Final = "/api/v2"
SERVICES: Final = ("api", "gateway", "monitoring")  # that a client asks what they are


class Route(NamedTuple):
    method: str
    path: str
    work: Callable[[Ask], Awaitable[Any]]
    role: Role = "read"


ROUTES: Final = (
    Route("GET", "/model", manager.models),
    Route("POST", "/model/upload", manager.upload, "write"),
    Route("GET", "/model/version", manager.versions),
    Route("GET", "/model/version/{number}/logs", streams.build),
    Route("GET", "/model/version/{model}/{version}", manager.version),
    Route("GET", "/application", manager.applications),
    Route("POST", "/application", manager.make_application, "write"),
    Route("PUT", "/application", manager.change_application, "write"),
    Route("GET", "/application/generateInputs/{application}", manager.inputs),
    Route("GET", "/application/{application}", manager.application),
    Route("DELETE", "/application/{application}", manager.remove_application, "write"),
    Route("GET", "/deployment_configuration", manager.configurations),
    Route("POST", "/deployment_configuration", manager.make_configuration, "write"),
    Route("PUT", "/deployment_configuration", manager.make_configuration, "write"),
    Route("GET", "/deployment_configuration/{configuration}", manager.configuration),
    Route(
        "DELETE", "/deployment_configuration/{configuration}", manager.remove_configuration, "write"
    ),
    Route("GET", "/servable", manager.servables),
    Route("POST", "/servable", manager.make_servable, "write"),
    Route("GET", "/servable/{servable}", manager.servable),
    Route("DELETE", "/servable/{servable}", manager.remove_servable, "write"),
    Route("GET", "/servable/{servable}/logs", streams.servable),
    Route("GET", "/events", streams.events),
)

MONITORING: Final = (
    Route("POST", "/profiles/batch/{number}", training.push, "write"),
    Route("POST", "/profiles/batch/{number}/s3", training.push, "write"),
    Route("GET", "/profiles/batch/{number}/status", training.status),
)


def add(app: web.Application, context: Context) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, V2 + route.path, _handler(route, context))
    for route in MONITORING:
        app.router.add_route(route.method, "/monitoring" + route.path, _handler(route, context))
    for service in SERVICES:
        app.router.add_get(f"/{service}/buildinfo", _build)


def _handler(route: Route, context: Context) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            ask = await asks.read(request, context, route.role)
            if any("\0" in name or len(name) > 200 for name in request.match_info.values()):
                raise refused.missing("thing")
            made = await route.work(ask)
        except ConnectionError:
            raise
        except Exception as error:
            if request.writer.output_size > 0:
                raise
            return errors.answer(error)
        if isinstance(made, web.StreamResponse):
            return made
        return _json(made)

    handle.__name__ = f"hydrosphere.{route.work.__name__}"
    return handle


async def _build(_: web.Request) -> web.Response:
    return _json(manager.BUILD)


def _json(made: Any) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        body=msgspec.json.encode(made), content_type="application/json", headers=headers
    )
