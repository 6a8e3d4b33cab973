"""`slipway events`: everything that happens, as it happens."""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.output import Output, cell
from slipway.types import Event


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "events",
        events,
        "show what happened, oldest first",
        "slipway events",
        "slipway events -f",
        "slipway events -f --after newest",
        "slipway events -f --after CURSOR --json",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens")
    parser.add_argument(
        "--after", metavar="CURSOR", help="only what came after it; `newest`: only what is to come"
    )
    parser.add_argument("--limit", metavar="N", type=values.positive, default=1000)


async def events(context: Context) -> None:
    args, out, client = context.args, context.out, context.client
    if not args.follow:
        found = await client.events(after=args.after, limit=args.limit)
        for event in found:
            _show(out, event)
        if found:
            out.say(f"go on with --after {found[-1].cursor}", "dim")
        return
    context.hint = "go on with `slipway events -f`"
    async with aclosing(client.follow_events(after=args.after or "")) as coming:
        async for event in coming:
            _show(out, event)
            context.hint = f"go on with `slipway events -f --after {event.cursor}`"


def _show(out: Output, event: Event) -> None:
    def line() -> None:
        what = event.type.removeprefix("slipway.").rpartition(".")[0]
        data = msgspec.json.encode(event.data).decode()
        out.line(f"{cell(event.time)}  {what:18}  {event.subject}  {data}")

    out.record(event, line)
