"""`slipway models`, `model`, `servables` and `servable create`."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.cli import values
from slipway.cli.context import Commands, Context, command, group
from slipway.cli.jobs import short
from slipway.cli.logs import how, show_log
from slipway.cli.profile import show_profile
from slipway.cli.progress import Progress
from slipway.types_models import Field, ModelVersion, Servable


def add(commands: Commands) -> None:
    command(commands, "models", models, "list models", "slipway models")
    one = command(
        commands,
        "model",
        model,
        "show a model and its versions, or one of these",
        "slipway model claims-model",
        "slipway model claims-model --version 2",
        "slipway model claims-model --version 2 --logs -f",
        "slipway model claims-model --profile",
    )
    one.add_argument("model", metavar="NAME", help="or NAME:VERSION")
    one.add_argument("--version", metavar="N", type=values.positive)
    what = one.add_mutually_exclusive_group()
    what.add_argument("--logs", action="store_true", help="what the build of a version printed")
    what.add_argument(
        "--profile",
        action="store_true",
        help="what a version is asked and answers, beside its training data",
    )
    how(one)
    command(commands, "servables", servables, "list model versions that run", "slipway servables")
    making = command(
        group(commands, "servable", "model versions that run on their own"),
        "create",
        create,
        "run a version of a model without an application",
        "slipway servable create claims-model:2",
        "slipway servable create claims-model:2 --configuration small",
    )
    making.add_argument("model", metavar="MODEL:VERSION")
    making.add_argument("--configuration", metavar="C", help="see `slipway configurations`")
    making.add_argument("--wait", action="store_true", help="until it runs")
    making.add_argument("--timeout", metavar="SECONDS", type=values.positive, help="with --wait")


async def models(context: Context) -> None:
    found = await context.client.models(project=context.args.project)
    context.out.rows(
        found,
        ("name", "newest", "state", "target", "created"),
        lambda model: (model.name, model.newest, model.state, model.target, model.created_at),
    )
    if not found:
        context.out.say("no models; `slipway apply -f FILE` makes some")


async def model(context: Context) -> None:
    args, client = context.args, context.client
    name, version = _named(args.model, args.version)
    if version is None and (args.logs or args.profile):
        version = (await client.model(name, project=args.project)).newest
    if version is not None and args.profile:
        show_profile(context, await client.model_profile(name, version, project=args.project))
    elif version is not None and args.logs:
        lines = client.follow_model_log(name, version, project=args.project)
        asked = client.model_log(name, version, limit=args.lines, project=args.project)
        await show_log(context, lines, asked, f"slipway model {name} --version {version} --logs -f")
    elif version is not None:
        _show_version(context, await client.model_version(name, version, project=args.project))
    else:
        await client.model(name, project=args.project)
        context.out.rows(
            await client.model_versions(name, project=args.project),
            ("version", "state", "created", "reason"),
            lambda found: (found.name, found.state, found.created_at, short(found.reason)),
        )


def _named(text: str, version: int | None) -> tuple[str, str | None]:
    name, colon, written = text.rpartition(":")
    if version is None and colon and written.isdigit():
        return name, written
    return text, None if version is None else str(version)


def _show_version(context: Context, found: ModelVersion) -> None:
    contract = found.contract
    context.out.fields(
        found,
        [
            ("name", f"{found.model}:{found.name}"),
            ("state", found.state),
            ("reason", found.reason),
            ("runtime", found.runtime),
            ("image", found.image),
            ("signature", contract.signature),
            ("inputs", "\n".join(_fields(contract.inputs))),
            ("outputs", "\n".join(_fields(contract.outputs))),
            ("metadata", "\n".join(f"{key}={value}" for key, value in found.metadata.items())),
            ("created", found.created_at),
            ("notes", "\n".join(found.notes)),
        ],
    )


def _fields(fields: Sequence[Field], above: str = "") -> list[str]:
    """A line for each: `x float32 [-1, 3] numerical`."""
    lines: list[str] = []
    for field in fields:
        name = f"{above}{field.name}"
        if field.fields:
            lines += _fields(field.fields, f"{name}.")
            continue
        shape = "any shape" if field.shape is None else str(field.shape) if field.shape else ""
        profile = "" if field.profile == "none" else field.profile
        lines.append(" ".join(part for part in (name, field.dtype or "", shape, profile) if part))
    return lines


async def servables(context: Context) -> None:
    found = await context.client.servables(project=context.args.project)
    context.out.rows(
        found,
        ("name", "model", "state", "application", "reason"),
        lambda one: (
            one.name,
            f"{one.model}:{one.version}",
            one.state,
            one.application,
            short(one.reason),
        ),
    )
    if not found:
        context.out.say("no servables; an application makes its own")


async def create(context: Context) -> None:
    args = context.args
    made = await context.client.create_servable(
        args.model, configuration=args.configuration, project=args.project
    )
    context.hint = f"it goes on; `slipway job {made.job}` shows how"
    if args.wait:
        with context.out.working(f"starting {made.name}") as show:
            watch = Progress(context.out, show).job
            await context.client.wait_for_job(made.job, timeout=args.timeout, watch=watch)
        made = await context.client.servable(made.name, project=args.project)
    _show_servable(context, made)


def _show_servable(context: Context, found: Servable) -> None:
    context.out.fields(
        found,
        [
            ("name", found.name),
            ("model", f"{found.model}:{found.version}"),
            ("state", found.state),
            ("reason", found.reason),
            ("application", found.application),
            ("url", found.url),
            ("job", found.job),
        ],
    )
