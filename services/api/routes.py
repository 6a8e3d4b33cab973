"""From the table of operations to an application: what every request goes through."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from services.api import answers, body, refused, token
from services.api.answer import Answer
from services.api.call import Call
from services.api.context import Context
from services.api.guard import guard
from services.api.hydrosphere import routes as hydrosphere
from services.api.metrics import Metrics
from services.api.openapi import document
from services.api.operation import Operation
from services.api.operations import OPERATIONS

PART: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,199}|\*")
"""What any name in a path looks like; nothing else can exist."""


def application(context: Context, metrics: Metrics) -> web.Application:
    app = web.Application(middlewares=[metrics.measure, guard])
    for operation in sorted(OPERATIONS, key=lambda operation: not operation.direct):
        # one path after the other is tried, so what comes most often is first
        app.router.add_route(operation.method, operation.path, _handler(operation, context))
    hydrosphere.add(app, context)
    openapi = msgspec.json.encode(document(OPERATIONS))

    async def show_openapi(_: web.Request) -> web.Response:
        headers = {"Cache-Control": "public, max-age=300"}
        return web.Response(body=openapi, content_type="application/json", headers=headers)

    async def end_streams(_: web.Application) -> None:
        context.stopping.set()

    app.router.add_get("/openapi.json", show_openapi)
    app.on_shutdown.append(end_streams)
    return app


def _handler(operation: Operation, context: Context) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        who = await context.tokens.identify(token.presented(_one(request, "Authorization")))
        if not who.may(operation.role):
            raise refused.forbidden(f"it needs the role {operation.role}")
        if not all(PART.fullmatch(part) for part in request.match_info.values()):
            raise refused.missing("thing")
        query = _query(request, operation)
        raw = await _raw(request, operation)
        asked = None if operation.body is None else body.decode(raw or b"{}", operation.body)
        key = _key(request, operation, who.owner, raw)
        call = Call(request=request, context=context, who=who, query=query, body=asked, once=key)
        async with answers.alone(context, key):
            said = None if operation.direct else await answers.before(context.database, key)
            if said is not None:
                return _response(said)
            work = partial(operation.handler, call)
            return _response(await answers.first(context.database, key, work))

    handle.__name__ = operation.name
    return handle


def _one(request: web.Request, header: str) -> str | None:
    found = request.headers.getall(header, [])
    if len(found) > 1:
        raise refused.malformed_request(f"{header} is sent more than once")
    return found[0] if found else None


def _query(request: web.Request, operation: Operation) -> Any:
    given = dict(request.query)
    if len(given) != len(request.query):
        raise refused.malformed_request("a query parameter is given more than once")
    body.check(given)
    return body.convert(given, operation.query, strict=False)


async def _raw(request: web.Request, operation: Operation) -> bytes:
    """The body of an operation that takes JSON."""
    if operation.upload or not request.can_read_body:
        return _nothing(operation)
    raw = await body.read(request)
    if not raw:
        return _nothing(operation)
    if operation.body is None:
        raise refused.malformed_request("this request takes no body")
    body.check_type(request)
    return raw


def _nothing(operation: Operation) -> bytes:
    if operation.body is not None and not operation.may_omit_body:
        raise refused.malformed("it is missing")
    return b""


def _key(request: web.Request, operation: Operation, owner: str, raw: bytes) -> answers.Key | None:
    if not operation.repeatable:
        return None
    header = _one(request, "Idempotency-Key")
    return answers.key(owner, header, request.method, request.path, raw)


def _response(answer: Answer | web.StreamResponse) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    return web.Response(
        status=answer.status,
        body=answer.encoded() or None,
        content_type="application/json" if answer.value is not None else None,
        headers={"Cache-Control": "no-store", **answer.headers},
    )
