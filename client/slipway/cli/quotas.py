"""`slipway quota` and `allowance`: what owners may have, and how they count in the queue."""

from __future__ import annotations

import argparse

from slipway.cli import values
from slipway.cli.context import Commands, Context, command, group
from slipway.types_queue import Allowance

COLUMNS = ("owner", "target", "type", "nominal", "borrow", "cohort")


def add(commands: Commands) -> None:
    quotas = group(commands, "quota", "what owners may have of a target's GPUs")
    listing = command(quotas, "list", list_quotas, "list quotas", "slipway quota list")
    listing.add_argument("--owner", metavar="O", help="of this owner alone")
    setting = command(
        quotas,
        "set",
        set_quota,
        "say what an owner may have of a target; for admins",
        "slipway quota set ann process rtx3090 --nominal 4",
        "slipway quota set ann eu '*' --nominal 8 --borrow 8 --cohort research",
    )
    _place(setting)
    setting.add_argument(
        "--nominal",
        metavar="N",
        type=values.count,
        required=True,
        help="it may always have so many",
    )
    setting.add_argument(
        "--borrow", metavar="N", type=values.count, help="and so many more that others leave [any]"
    )
    setting.add_argument("--cohort", metavar="C", default="", help="among whom that is lent")
    removing = command(
        quotas,
        "rm",
        remove_quota,
        "let an owner have what there is, with nothing guaranteed; for admins",
        "slipway quota rm ann process rtx3090",
    )
    _place(removing)
    allowances = group(commands, "allowance", "how owners count in the queue")
    showing = command(
        allowances,
        "show",
        show_allowance,
        "show an owner's weight, and the class that it may ask for",
        "slipway allowance show",
    )
    showing.add_argument("owner", metavar="OWNER", nargs="?", help="[your own]")
    changing = command(
        allowances,
        "set",
        set_allowance,
        "say how an owner counts in the queue; for admins",
        "slipway allowance set ann --weight 2 --highest high",
    )
    changing.add_argument("owner", metavar="OWNER")
    changing.add_argument(
        "--weight", metavar="W", type=values.above_zero, default=1.0, help="its part of it all [1]"
    )
    changing.add_argument("--highest", choices=("low", "normal", "high"), default="normal")


def _place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("owner", metavar="OWNER")
    parser.add_argument("target", metavar="TARGET", help="as `slipway targets` names it")
    parser.add_argument("type", metavar="TYPE", help="of GPU; '*' for all together")


async def list_quotas(context: Context) -> None:
    found = await context.client.quotas(context.args.owner)
    context.out.rows(
        found,
        COLUMNS,
        lambda q: (
            q.owner,
            q.target,
            q.gpu_type,
            q.nominal,
            "any" if q.borrow is None else q.borrow,
            q.cohort,
        ),
    )
    if not found:
        context.out.say("no quotas: owners have what there is, by their shares")


async def set_quota(context: Context) -> None:
    args = context.args
    made = await context.client.set_quota(
        args.owner,
        args.target,
        args.type,
        nominal=args.nominal,
        borrow=args.borrow,
        cohort=args.cohort,
    )
    context.out.fields(
        made,
        [
            ("owner", made.owner),
            ("target", made.target),
            ("type", made.gpu_type),
            ("nominal", made.nominal),
            ("borrow", "any" if made.borrow is None else made.borrow),
            ("cohort", made.cohort),
        ],
    )


async def remove_quota(context: Context) -> None:
    args = context.args
    await context.client.remove_quota(args.owner, args.target, args.type)
    told = f"{args.owner} has no quota of {args.type} on {args.target} any more"
    context.out.value({"removed": args.type}, lambda: context.out.line(told))


async def show_allowance(context: Context) -> None:
    _show(context, await context.client.allowance(context.args.owner))


async def set_allowance(context: Context) -> None:
    args = context.args
    made = await context.client.set_allowance(args.owner, weight=args.weight, highest=args.highest)
    _show(context, made)


def _show(context: Context, found: Allowance) -> None:
    context.out.fields(
        found,
        [("owner", found.owner), ("weight", found.weight), ("highest", found.highest)],
    )
