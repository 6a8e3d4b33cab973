"""`slipway deployments`, `versions`, `version` and `cancel`."""

from __future__ import annotations

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.output import cell
from slipway.types import Version


def add(commands: Commands) -> None:
    command(commands, "deployments", deployments, "list deployments", "slipway deployments")
    several = command(commands, "versions", versions, "list versions", "slipway versions iris")
    several.add_argument("deployment", metavar="DEPLOYMENT")
    several.add_argument("--limit", metavar="N", type=values.positive, default=100)
    one = command(
        commands,
        "version",
        version,
        "show a version: its state, images, URLs and jobs",
        "slipway version iris 20261121.0",
        "slipway version iris production",
    )
    one.add_argument("deployment", metavar="DEPLOYMENT")
    one.add_argument("version", metavar="VERSION", help="its name, or an alias")
    build = command(
        commands,
        "cancel",
        cancel,
        "cancel the build of a version; it can't be taken up again",
        "slipway cancel iris 20261121.0",
        "slipway terminate churn --force  (an endpoint of its own)",
    )
    build.add_argument("deployment", metavar="DEPLOYMENT")
    build.add_argument("version", metavar="VERSION")


async def deployments(context: Context) -> None:
    context.out.rows(
        await context.client.deployments(),
        ("name", "target", "aliases", "created"),
        lambda found: (found.name, found.target, found.aliases, found.created_at),
    )


async def versions(context: Context) -> None:
    args = context.args
    context.out.rows(
        await context.client.versions(args.deployment, limit=args.limit),
        ("name", "state", "created", "reason"),
        lambda found: (found.name, found.state, found.created_at, found.reason.partition("\n")[0]),
    )


async def version(context: Context) -> None:
    args = context.args
    found = await context.client.version(args.deployment, args.version)
    show_version(context, found)


async def cancel(context: Context) -> None:
    args = context.args
    found = await context.client.cancel_version(args.deployment, args.version)
    show_version(context, found)


def show_version(context: Context, found: Version) -> None:
    context.out.fields(
        found,
        [
            ("name", f"{found.deployment}/{found.name}" if found.deployment else found.name),
            ("state", found.state),
            ("reason", found.reason),
            ("created", found.created_at),
            ("source", found.source),
            ("fetched from", found.origin and f"{found.origin.url} at {found.origin.commit}"),
            *((f"{name} url", cell(url)) for name, url in found.urls.items()),
            *((f"{name} job", cell(job)) for name, job in found.jobs.items()),
            *((f"{name} image", cell(image)) for name, image in found.images.items()),
            ("notes", "\n".join(found.notes)),
        ],
    )
