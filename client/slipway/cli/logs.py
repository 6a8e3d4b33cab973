"""`slipway logs` and `slipway build-log`: what jobs and builds printed, and print."""

from __future__ import annotations

import argparse
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.output import Output
from slipway.types import LogLine

COLOURS = {"stderr": "yellow", "platform": "cyan"}


def add(commands: Commands) -> None:
    job = command(
        commands,
        "logs",
        logs,
        "show what a job printed, oldest first",
        "slipway logs iris/20261121.0/predict",
        "slipway logs jx0k2 -f",
    )
    job.add_argument("job", metavar="JOB", help="an id, the beginning of one, or a name")
    how(job)
    build = command(
        commands,
        "build-log",
        build_log,
        "show what the build of a version, or of a job's image, printed",
        "slipway build-log iris 20261121.0",
        "slipway build-log iris 20261121.0 -f",
        "slipway build-log churn",
    )
    build.add_argument("deployment", metavar="DEPLOYMENT", help="or a JOB, alone")
    build.add_argument("version", metavar="VERSION", nargs="?", help="its name, or an alias")
    how(build)


def how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="and what comes, until the end")
    parser.add_argument(
        "-n", "--lines", metavar="N", type=values.positive, default=200, help="the last N [200]"
    )


async def logs(context: Context) -> None:
    args, client = context.args, context.client
    job = await client.find_job(args.job)
    if args.follow:
        context.hint = f"go on with `slipway logs {job.id} -f`"
        await _follow(context.out, client.follow_logs(job.id))
    else:
        none = "nothing was printed so far"
        if job.queued_at is None:
            none += f"; `slipway build-log {job.id}` shows its build"
        _print(context.out, await client.logs(job.id, limit=args.lines), none)


async def build_log(context: Context) -> None:
    args, client = context.args, context.client
    if args.version is None:
        job = await client.find_job(args.deployment)
        if args.follow:
            context.hint = f"go on with `slipway build-log {job.id} -f`"
            await _follow(context.out, client.follow_build_log_of(job.id))
        else:
            _print(context.out, await client.build_log_of(job.id, limit=args.lines))
    elif args.follow:
        context.hint = f"go on with `slipway build-log {args.deployment} {args.version} -f`"
        await _follow(context.out, client.follow_build_log(args.deployment, args.version))
    else:
        found = await client.build_log(args.deployment, args.version, limit=args.lines)
        _print(context.out, found)


async def show_log(
    context: Context,
    coming: AsyncGenerator[LogLine, None],
    printed: Coroutine[Any, Any, list[LogLine]],
    again: str,
) -> None:
    """What comes, if that was asked for, else what was printed so far."""
    if context.args.follow:
        printed.close()
        context.hint = f"go on with `{again}`"
        await _follow(context.out, coming)
    else:
        _print(context.out, await printed)


async def _follow(out: Output, lines: AsyncGenerator[LogLine, None]) -> None:
    async with aclosing(lines) as coming:
        async for line in coming:
            _line(out, line)


def _print(
    out: Output, newest_first: list[LogLine], none: str = "nothing was printed so far"
) -> None:
    for line in reversed(newest_first):
        _line(out, line)
    if not newest_first:
        out.say(none)


def _line(out: Output, line: LogLine) -> None:
    out.record(line, lambda: out.line(line.text, COLOURS.get(line.stream, "")))
