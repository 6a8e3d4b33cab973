"""`slipway apply`: resource definitions, from YAML files to what runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.progress import Progress
from slipway.errors import SlipwayError
from slipway.resources.prepare import APPLICATION
from slipway.types_models import Change


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "apply",
        apply,
        "make models, applications and deployment configurations what YAML files say",
        "slipway apply -f claims/",
        "slipway apply -f model.yaml -f application.yaml --dry-run",
        "slipway apply -f - < serving.yaml",
        "slipway apply -f serving.yaml --target eu --no-wait",
    )
    parser.add_argument(
        "-f",
        "--file",
        metavar="FILE|DIR|-",
        action="append",
        required=True,
        help="a YAML file of one or more documents, a folder of *.yaml and *.yml, or standard"
        " input; may be repeated",
    )
    parser.add_argument(
        "-R", "--recursive", action="store_true", help="also the folders in a folder"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check all of it, upload what a platform must see for that, and say what would change",
    )
    parser.add_argument(
        "--target", metavar="T", help="where models and applications that are new run"
    )
    parser.add_argument(
        "--wait",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="until models are released and applications ready [yes]",
    )
    parser.add_argument("--timeout", metavar="SECONDS", type=values.positive, help="of the wait")


async def apply(context: Context) -> None:
    args, out, client = context.args, context.out, context.client
    with out.working("reading") as show:
        progress = Progress(out, show)
        changes = await client.apply(
            *args.file,
            recursive=args.recursive,
            dry_run=args.dry_run,
            target=args.target,
            project=args.project,
            watch=progress.step,
        )
    _show(context, changes)
    if args.dry_run:
        out.say("nothing was changed: this was a dry run")
        return
    context.hint = "it goes on; `slipway models` and `slipway applications` show how"
    if not args.wait:
        out.say("not waiting: `slipway models` and `slipway applications` show how it goes")
        return
    with out.working("building") as show:
        await client.wait_for_resources(
            changes,
            timeout=args.timeout,
            project=args.project,
            watch=Progress(out, show).step,
        )
    await _addresses(context, changes)


def _show(context: Context, changes: Sequence[Change]) -> None:
    out = context.out
    out.value(
        {"dry_run": context.args.dry_run, "changes": changes},
        lambda: out.table(
            ("kind", "name", "version", "action", "source"),
            [(c.kind, c.name, c.version, c.action, c.source) for c in changes],
        ),
    )
    for change in changes:
        for note in change.notes:
            out.say(f"note: {change.source}: {note}", "dim")


async def _addresses(context: Context, changes: Sequence[Change]) -> None:
    """Where the applications answer."""
    for change in changes:
        if change.kind == APPLICATION and not context.out.json:
            try:
                url = await context.client.gateway_url(change.name)
            except SlipwayError:  # it is ready all the same
                return
            context.out.line(f"{change.name}  {url}")
