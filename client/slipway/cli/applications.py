"""`slipway applications`, `application NAME` and `application rm NAME`."""

from __future__ import annotations

from slipway.cli.context import Commands, Context, command
from slipway.cli.jobs import short
from slipway.errors import BadUsage
from slipway.types_models import Application, Variant

REMOVE = "rm"


def add(commands: Commands) -> None:
    command(commands, "applications", applications, "list applications", "slipway applications")
    one = command(
        commands,
        "application",
        application,
        "show an application, or remove one",
        "slipway application claims",
        "slipway application rm claims",
    )
    one.add_argument(
        "words", metavar="[rm] NAME", nargs="+", help="rm: end it; its name is free again"
    )


async def applications(context: Context) -> None:
    found = await context.client.applications(project=context.args.project)
    context.out.rows(
        found,
        ("name", "state", "stages", "changed", "reason"),
        lambda one: (
            one.name,
            one.state,
            " → ".join(", ".join(stage) for stage in one.models),
            one.changed_at,
            short(one.reason),
        ),
    )
    if not found:
        context.out.say("no applications; `slipway apply -f FILE` makes some")


async def application(context: Context) -> None:
    words = context.args.words
    if len(words) == 2 and REMOVE in words:  # `application NAME rm` is understood as well
        (name,) = [word for word in words if word != REMOVE] or [REMOVE]
        await context.client.remove_application(name, project=context.args.project)
        context.out.value(
            {"name": name, "removed": True}, lambda: context.out.line(f"{name} is removed")
        )
        return
    if len(words) != 1:
        raise BadUsage("give one application", "`slipway application --help` has examples")
    _show(context, await context.client.application(words[0], project=context.args.project))


def _show(context: Context, found: Application) -> None:
    context.out.fields(
        found,
        [
            ("name", found.name),
            ("state", found.state),
            ("reason", found.reason),
            ("url", found.url),
            ("target", found.target),
            ("revision", _revision(found)),
            *(
                (f"stage {at}", "\n".join(_variant(variant) for variant in stage))
                for at, stage in enumerate(found.newest.stages, 1)
            ),
            ("changed", found.changed_at),
        ],
    )


def _revision(found: Application) -> str:
    newest = found.newest.revision
    if found.live is None or found.live.revision == newest:
        return str(newest)
    return f"{newest}, and {found.live.revision} answers"


def _variant(variant: Variant) -> str:
    named = f"{variant.model}:{variant.version}"
    more = (variant.servable, variant.state, short(variant.reason), variant.configuration)
    return " ".join([f"{variant.weight} %", named, *(word for word in more if word)])
