"""`slipway alias set`, `rollback` and `list`: release, and its undoing."""

from __future__ import annotations

from slipway.cli.context import Commands, Context, command, group
from slipway.cli.output import Output
from slipway.types import Alias


def add(commands: Commands) -> None:
    aliases = group(commands, "alias", "names that point at versions: release and rollback")
    setting = command(
        aliases,
        "set",
        set_alias,
        "point an alias at a version",
        "slipway alias set iris production 20261121.1",
        "slipway alias set iris production 20261121.1 --force",
    )
    setting.add_argument("deployment", metavar="DEPLOYMENT")
    setting.add_argument("alias", metavar="ALIAS")
    setting.add_argument("version", metavar="VERSION")
    setting.add_argument("--force", action="store_true", help="also when not all of it runs")
    back = command(
        aliases,
        "rollback",
        rollback,
        "point an alias at the version before",
        "slipway alias rollback iris production",
    )
    back.add_argument("deployment", metavar="DEPLOYMENT")
    back.add_argument("alias", metavar="ALIAS")
    listing = command(aliases, "list", list_aliases, "list aliases", "slipway alias list iris")
    listing.add_argument("deployment", metavar="DEPLOYMENT")


async def set_alias(context: Context) -> None:
    args = context.args
    moved = await context.client.set_alias(
        args.deployment, args.alias, args.version, force=args.force
    )
    _show(context.out, moved)


async def rollback(context: Context) -> None:
    args = context.args
    _show(context.out, await context.client.rollback_alias(args.deployment, args.alias))


async def list_aliases(context: Context) -> None:
    context.out.rows(
        await context.client.aliases(context.args.deployment),
        ("alias", "version", "revision", "changed"),
        lambda alias: (alias.name, alias.version, alias.revision, alias.changed_at),
    )


def _show(out: Output, alias: Alias) -> None:
    urls = [(f"{endpoint} url", url) for endpoint, url in alias.urls.items()]
    before = alias.history[1].version if len(alias.history) > 1 else ""
    out.fields(
        alias,
        [
            ("alias", alias.name),
            ("version", alias.version),
            ("before", before),
            ("revision", alias.revision),
            *urls,
        ],
    )
