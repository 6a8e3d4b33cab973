"""`slipway configurations`, `configuration NAME` and `configuration rm NAME`."""

from __future__ import annotations

import msgspec

from slipway.cli.applications import REMOVE
from slipway.cli.context import Commands, Context, command
from slipway.errors import BadUsage


def add(commands: Commands) -> None:
    command(
        commands,
        "configurations",
        configurations,
        "list deployment configurations: how servables run",
        "slipway configurations",
    )
    one = command(
        commands,
        "configuration",
        configuration,
        "show a deployment configuration, or remove one",
        "slipway configuration small",
        "slipway configuration rm small",
    )
    one.add_argument(
        "words",
        metavar="[rm] NAME",
        nargs="+",
        help="rm: forget it; servables that were made with it keep what it says",
    )


async def configurations(context: Context) -> None:
    found = await context.client.configurations(project=context.args.project)
    context.out.rows(found, ("name", "changed"), lambda one: (one.name, one.changed_at))
    if not found:
        context.out.say("no configurations; `slipway apply -f FILE` makes some")


async def configuration(context: Context) -> None:
    words, project = context.args.words, context.args.project
    if len(words) == 2 and words[0] == REMOVE:
        await context.client.remove_configuration(words[1], project=project)
        context.out.value(
            {"name": words[1], "removed": True},
            lambda: context.out.line(f"{words[1]} is removed"),
        )
        return
    if len(words) != 1:
        raise BadUsage("give one configuration", "`slipway configuration --help` has examples")
    found = await context.client.configuration(words[0], project=project)
    document = msgspec.json.format(msgspec.json.encode(found.document), indent=2).decode()
    context.out.fields(
        found, [("name", found.name), ("changed", found.changed_at), ("document", document)]
    )
