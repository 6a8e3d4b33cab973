"""`slipway usage`, `statement` and `budget`: what was used, what it cost, what may be spent."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from slipway.cli import values
from slipway.cli.context import Commands, Context, command, group
from slipway.cli.output import Output, plain
from slipway.types_billing import Budget, UsageLine

KEYS = ("period", "owner", "project", "job", "name", "target", "gpu_type", "price")
BY = "owner, project, job, target, gpu_type, price, and day or month"


def add(commands: Commands) -> None:
    using = command(
        commands,
        "usage",
        usage,
        "show what GPUs were held for how long, and what that cost",
        "slipway usage",
        "slipway usage --month 2026-11 --by project,gpu_type",
        "slipway usage --from 2026-11-01 --by day --csv > november.csv",
    )
    using.add_argument(
        "--from", dest="since", metavar="T", help="a time, day or month [this month]"
    )
    using.add_argument("--to", dest="until", metavar="T", help="until then, by UTC [now]")
    using.add_argument("--month", metavar="M", type=month, help="the same as --from M to the next")
    using.add_argument("--by", metavar="B", default="job", help=f"{BY}, with commas between [job]")
    using.add_argument("--owner", help="of this owner alone")
    using.add_argument("--job", metavar="JOB", help="of this job alone")
    using.add_argument("--csv", action="store_true", help="print CSV")
    stating = command(
        commands, "statement", statement, "show a month's bill", "slipway statement 2026-11"
    )
    stating.add_argument("month", metavar="MONTH", nargs="?", type=month, help="[this one]")
    stating.add_argument("--owner", help="[your own]")
    stating.add_argument("--csv", action="store_true", help="print CSV")
    _add_budgets(group(commands, "budget", "what may be spent in a month"))


def _add_budgets(budgets: Commands) -> None:
    showing = command(budgets, "show", show, "show a budget, and what is spent of it")
    showing.add_argument("--owner", help="[your own]")
    setting = command(
        budgets,
        "set",
        put,
        "say what an owner may spend in a month",
        "slipway budget set 250 --owner vision",
        "slipway budget set 250 --warn 0.5 --warn 0.9 --no-hold",
    )
    setting.add_argument("monthly", metavar="N", type=values.amount)
    setting.add_argument("--owner", help="[your own]")
    setting.add_argument(
        "--warn",
        metavar="PART",
        type=values.amount,
        action="append",
        help="tell when such a part of it is spent; repeatable [0.5 0.8]",
    )
    setting.add_argument(
        "--no-hold", dest="hold", action="store_false", help="let jobs start when it is spent"
    )
    removing = command(budgets, "remove", remove, "let an owner spend as much as it likes")
    removing.add_argument("--owner", help="[your own]")


def month(text: str) -> str:
    """YYYY-MM"""
    if not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a month such as 2026-11")
    return text


def after(month: str) -> str:
    """The next month.

    >>> after("2026-12")
    '2027-01'
    """
    months = int(month[:4]) * 12 + int(month[5:])
    return f"{months // 12:04}-{months % 12 + 1:02}"


async def usage(context: Context) -> None:
    args, client, out = context.args, context.client, context.out
    if args.job is not None:
        args.job = (await client.find_job(args.job)).id
    asked: dict[str, Any] = {
        "since": args.month or args.since,
        "until": after(args.month) if args.month else args.until,
        "by": args.by.split(","),
        "owner": args.owner,
        "project": args.project,
        "job": args.job,
    }
    if args.csv:
        _print(await client.usage_csv(**asked))
        return
    found = await client.usage(**asked)
    out.value(found, lambda: table(out, found.items, found.gpu_seconds, found.amount))


async def statement(context: Context) -> None:
    args, client, out = context.args, context.client, context.out
    wanted = args.month or datetime.now(UTC).strftime("%Y-%m")
    if args.csv:
        _print(await client.statement_csv(wanted, args.owner))
        return
    found = await client.statement(wanted, args.owner)

    def show() -> None:
        state = "final" if found.final else "so far"
        out.line(f"statement of {found.owner} for {found.month}, {state}")
        table(out, found.lines, found.gpu_seconds, found.amount, leave=("owner",))

    out.value(found, show)


async def show(context: Context) -> None:
    show_budget(context.out, await context.client.budget(context.args.owner))


async def put(context: Context) -> None:
    args = context.args
    made = await context.client.set_budget(
        args.monthly, owner=args.owner, warn=args.warn, hold=args.hold
    )
    show_budget(context.out, made)


async def remove(context: Context) -> None:
    owner = context.args.owner or (await context.client.whoami()).owner
    await context.client.remove_budget(owner)
    context.out.value(
        {"removed": owner}, lambda: context.out.line(f"{owner} has no budget any more")
    )


def show_budget(out: Output, budget: Budget) -> None:
    held = "nothing more starts until next month, or until it is raised"
    out.fields(
        budget,
        [
            ("owner", budget.owner),
            ("monthly", budget.monthly),
            ("spent", f"{budget.spent} in {budget.month}"),
            ("reached", (held if budget.hold else "jobs go on starting") if budget.reached else ""),
            ("warns at", [f"{part:.0%}" for part in budget.warn]),
            ("holds", budget.hold),
        ],
    )


def table(
    out: Output,
    lines: Sequence[UsageLine],
    seconds: Decimal,
    amount: Decimal,
    leave: Sequence[str] = (),
) -> None:
    """Lines with the columns that they have, and the sums of all below them."""
    kept = [
        key for key in KEYS if key not in leave and any(getattr(o, key) is not None for o in lines)
    ]
    rows = [[getattr(line, key) for key in kept] + _sums(line) for line in lines]
    total = ["total", *[""] * (len(kept) - 1)][: len(kept)]
    heads = [key.replace("_", " ") for key in kept]
    out.table([*heads, "gpu hours", "amount"], [*rows, [*total, hours(seconds), amount]])


def _sums(line: UsageLine) -> list[Any]:
    return [hours(line.gpu_seconds), line.amount]


def hours(seconds: Decimal) -> str:
    return f"{seconds / 3600:.4f}"


def _print(text: str) -> None:
    """CSV as it came, but for what would steer a terminal."""
    for line in text.split("\r\n")[:-1]:
        print(plain(line), end="\r\n")
