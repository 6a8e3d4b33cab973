"""`slipway test`: sends one request to an endpoint through the router, as its users do.

The token stays here: what an endpoint runs is none of its business to know it.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from slipway.cli import predict, values
from slipway.cli.answer import is_json, pretty, readable
from slipway.cli.context import Commands, Context, command
from slipway.client import AsyncClient
from slipway.errors import BadSource, BadUsage, NotFound, Unreachable
from slipway.request import Request, Typed, compose
from slipway.types import Route


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "test",
        test,
        "send a request to an endpoint, an application or a servable, and show what comes back",
        "slipway test iris/production/predict --field petal=5.1",
        "slipway test iris/20261121.0/predict --file image=cat.jpg --query top=3",
        "slipway test churn --path /predict --field age=41 --field plan=pro",
        'slipway test churn --body \'{"age": 41, "plan": "pro"}\'',
        "slipway test claims",
        "slipway test claims --data @claim.json",
    )
    parser.add_argument(
        "endpoint",
        metavar="ENDPOINT",
        help="DEPLOYMENT/VERSION/ENDPOINT (or an alias for the version), a job's id or name,"
        " an application or a servable",
    )
    parser.add_argument("--method", metavar="M", help="[POST when something is sent, else GET]")
    parser.add_argument("--query", metavar="Q", help="what comes after ? in the URL")
    parser.add_argument("--path", metavar="P", help="below the endpoint [its only route's]")
    parser.add_argument(
        "--field",
        metavar="KEY=VALUE",
        type=values.pair,
        action="append",
        default=[],
        help="part of a form; of a JSON body for an endpoint with routes",
    )
    parser.add_argument("--file", metavar="KEY=PATH", type=values.pair, action="append", default=[])
    parser.add_argument(
        "--body", metavar="JSON", type=values.json, default=msgspec.UNSET, help="sent as it is"
    )
    parser.add_argument(
        "--data",
        metavar="JSON|@FILE|-",
        type=values.data,
        dest="body",
        default=msgspec.UNSET,
        help="the same, or from a file or standard input [for an application: made for it]",
    )
    parser.add_argument(
        "--sample", action="store_true", help="print what would be sent to an application"
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=values.positive, default=300)


async def test(context: Context) -> int:
    args = context.args
    asked = await predict.find(context.client, args.endpoint, args.project)
    if asked is not None:
        return await predict.test(context, asked)
    if args.sample:
        raise BadUsage(f"{args.endpoint} is no application", "an endpoint has no contract")
    url, routes = await find(context.client, args.endpoint)
    typed = Typed(
        method=args.method,
        path=args.path,
        query=args.query,
        fields=args.field,
        files=[(key, Path(path)) for key, path in args.file],
        body=args.body,
    )
    request = compose(url, typed, routes)
    status = await send(context, request, args.timeout)
    return 0 if status < 400 else 1


async def find(client: AsyncClient, called: str) -> tuple[str, list[Route]]:
    """Its URL, and its routes if it has some."""
    parts = called.strip("/").split("/")
    if len(parts) == 3:
        deployment, version, name = parts
        return await _of_version(client, deployment, version, name)
    job = await client.find_job(called)
    connection = await client.connection(job.id)
    return connection.url, connection.routes


async def _of_version(
    client: AsyncClient, deployment: str, called: str, name: str
) -> tuple[str, list[Route]]:
    version = await client.version(deployment, called)
    urls = version.urls
    if version.name != called:
        urls = (await client.alias(deployment, called)).urls
    if name not in urls:
        known = ", ".join(urls) or "none"
        raise NotFound(f"{deployment}/{called} has no endpoint {name}", f"it has: {known}")
    routes = [route for e in version.endpoints if e.name == name for route in e.entry.routes]
    return urls[name], routes


async def send(context: Context, request: Request, timeout: float) -> int:
    began = time.monotonic()
    limits = aiohttp.ClientTimeout(total=timeout, sock_connect=5)
    try:
        with ExitStack() as files:
            data = _payload(request, files)
            async with (
                aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar()) as http,
                http.request(
                    request.method, request.url, allow_redirects=False, **data
                ) as response,
            ):
                await _show(context, response, began)
                return response.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = str(error) or f"no answer within {timeout:g} s"
        raise Unreachable(f"no answer from {request.url} ({why})", "is the router up?") from error


def _payload(request: Request, files: ExitStack) -> dict[str, Any]:
    if request.body is not msgspec.UNSET:
        return {
            "data": msgspec.json.encode(request.body),
            "headers": {"Content-Type": "application/json"},
        }
    if not request.fields and not request.files:
        return {}
    form = aiohttp.FormData()
    for name, value in request.fields:
        form.add_field(name, value)
    for name, path in request.files:
        try:
            file = files.enter_context(path.open("rb"))
        except OSError as error:
            raise BadSource(f"cannot read {path}: {error.strerror}") from error
        form.add_field(name, file, filename=path.name)
    return {"data": form}


async def _show(context: Context, response: aiohttp.ClientResponse, began: float) -> None:
    out, kind = context.out, response.content_type
    head = time.monotonic() - began
    if out.json:
        body = await response.read()
        out.document(
            {
                "status": response.status,
                "seconds": round(time.monotonic() - began, 6),
                "content_type": kind,
                "body": readable(body, kind),
            }
        )
        return
    colour = "green" if response.status < 400 else "red"
    out.say(f"{response.status} {response.reason or ''}  {head * 1000:.0f} ms  {kind}", colour)
    if is_json(kind):
        out.line(pretty(await response.read()))
        return
    textual = kind.startswith("text/")
    async for chunk in response.content.iter_any():  # as it comes: it may be a stream
        _write(context, chunk, textual)
    if textual and out.pretty:
        out.line("")


def _write(context: Context, chunk: bytes, textual: bool) -> None:
    if context.out.pretty and not textual:
        context.out.say(f"{len(chunk)} bytes that are not text; use a pipe to keep them")
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
