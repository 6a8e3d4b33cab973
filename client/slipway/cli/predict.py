"""`slipway test` of an application or a servable: sample inputs, the answer, and the same call for
a shell and for Python.
"""

from __future__ import annotations

from typing import Any

import msgspec

from slipway.cli.answer import pretty, readable
from slipway.cli.context import Context
from slipway.client import AsyncClient
from slipway.errors import BadUsage, SlipwayError
from slipway.example import FILE, LONG, curl, python
from slipway.gateway import Gateway, Reply, problem

FOR_ENDPOINTS = ("method", "query", "path", "field", "file")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    url: str
    servable: bool


async def find(client: AsyncClient, called: str, project: str | None) -> Asked | None:
    """The application or the servable of that name, if there is one."""
    if "/" in called:
        return None
    for servable, look in ((False, client.application), (True, client.servable)):
        try:
            await look(called, project=project)
        except SlipwayError as error:
            if error.status != 404:
                raise
        else:
            url = await client.gateway_url(called, servable=servable)
            return Asked(name=called, url=url, servable=servable)
    return None


async def test(context: Context, asked: Asked) -> int:
    args, out = context.args, context.out
    for option in FOR_ENDPOINTS:
        if getattr(args, option):
            detail = f"{asked.name} takes --data, and no --{option}"
            raise BadUsage(detail, f"`slipway test {asked.name} --sample` shows what it takes")
    inputs = args.body
    if inputs is msgspec.UNSET:
        inputs = await context.client.sample_inputs(
            asked.name, servable=asked.servable, project=args.project
        )
    if args.sample:
        out.document(inputs)
        return 0
    body = msgspec.json.encode(inputs)
    gateway = Gateway()
    try:
        reply = await gateway.ask(asked.url, body, args.timeout)
    finally:
        await gateway.close()
    _show(context, asked, inputs, body.decode(), reply)
    return 0 if reply.status < 400 else 1


def _show(context: Context, asked: Asked, inputs: Any, body: str, reply: Reply) -> None:
    out = context.out
    calls = {"curl": curl(asked.url, body), "python": python(asked.url, inputs, body)}
    if out.json:
        answer = readable(reply.body, reply.kind)
        told = {"status": reply.status, "seconds": reply.seconds, "content_type": reply.kind}
        out.document({**told, "body": answer, "inputs": inputs, **calls})
        return
    took = f"{reply.status}  {reply.seconds * 1000:.0f} ms  {asked.url}"
    out.say(took, "green" if reply.status < 400 else "red")
    if reply.status < 400:
        out.line(pretty(reply.body))
    else:
        out.error(SlipwayError(problem(reply)))
    if len(body) > LONG:
        out.say(f"\nslipway test {asked.name} --sample > {FILE}", "dim")
    out.say(f"\n{calls['curl']}\n\n{calls['python']}", "dim")
