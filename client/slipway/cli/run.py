"""`slipway run`, `series` and `outputs`: commands that run to an end, and what they leave."""

from __future__ import annotations

import argparse
import shlex
from contextlib import aclosing
from pathlib import Path
from typing import Any

from slipway.calls.base import missing
from slipway.cli import scheduling, values
from slipway.cli.context import Commands, Context, command, group
from slipway.cli.logs import COLOURS
from slipway.cli.output import Output, cell
from slipway.errors import BadUsage, NotFound, SlipwayError
from slipway.types import LogLine
from slipway.types_runs import Series

SHOWN = 20  # jobs of a series in what is shown of it


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "run",
        run,
        "run a command in the image of a version, or of a job, to its end",
        "slipway run iris -- python train.py --epochs 3",
        "slipway run iris/production -f -- 'python train.py && cp *.bin $SLIPWAY_OUTPUTS'",
        "slipway run iris/v1/predict --array 8 --gpu-type rtx3090 --retries 2 --wait -- ./sweep.sh",
        "slipway run churn -- python check.py",
    )
    parser.add_argument(
        "of", metavar="OF", help="DEPLOYMENT[/VERSION[/ENDPOINT]] [the newest version], or a JOB"
    )
    parser.add_argument("words", metavar="COMMAND", nargs="+", help="behind --; one word is a line")
    parser.add_argument("--name", metavar="N", help="of the job [its version's and an id]")
    parser.add_argument(
        "--gpu-type", metavar="T", action="append", help="may be repeated, by preference; or cpu"
    )
    parser.add_argument("--gpu-count", metavar="N", type=values.positive)
    parser.add_argument("--max-price", metavar="P", type=float, help="per GPU and hour")
    parser.add_argument("--array", metavar="N", type=values.positive, help="so many jobs")
    parser.add_argument("--retries", metavar="N", type=values.count, help="more tries [0]")
    parser.add_argument(
        "--timeout", metavar="SECONDS", type=values.positive, help="of each try [any]"
    )
    parser.add_argument("--env", metavar="KEY=VALUE", type=values.pair, action="append", default=[])
    scheduling.add(parser)
    parser.add_argument("--wait", action="store_true", help="until all of it has ended")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="show what it prints, until it has ended"
    )
    taking = command(
        commands,
        "outputs",
        outputs,
        "unpack what a finished job left behind",
        "slipway outputs jx0k2",
        "slipway outputs sweep/3 -o results",
        "slipway outputs jx0k2 --tar outputs.tar",
    )
    taking.add_argument("job", metavar="JOB", help="an id, the beginning of one, or a name")
    taking.add_argument(
        "-o", "--into", metavar="DIR", type=Path, help="a folder [one called after the job's id]"
    )
    taking.add_argument("--tar", metavar="FILE", type=Path, help="keep it packed, in this file")
    series = group(commands, "series", "look after jobs that were made at once by `slipway run`")
    _one(series, "show", show, "show a series, and how its jobs are")
    _one(series, "stop", stop, "stop all of its jobs that have not ended")
    _one(series, "terminate", terminate, "remove all of its jobs that have ended, for good")


def _one(commands: Commands, name: str, act: Any, about: str) -> argparse.ArgumentParser:
    parser = command(commands, name, act, about, f"slipway series {name} sx0k2m4q9tzd7")
    parser.add_argument("series", metavar="SERIES", help="as `slipway run` shows it")
    return parser


async def run(context: Context) -> int:
    args, client = context.args, context.client
    if args.follow and (args.array or 1) > 1:
        raise BadUsage("an array has many logs", "leave out --follow, and use `slipway logs JOB`")
    series = await _submit(context)
    context.hint = f"it goes on; `slipway series show {series.id}` shows how"
    if args.follow:
        await _follow(context, series.jobs[0].id)
    if args.follow or args.wait:
        with context.out.working(f"{series.name}: {cell(series.counts)}") as show:
            series = await client.wait_for_series(
                series.id, watch=lambda now: show(f"{now.name}: {cell(now.counts)}")
            )
    show_series(context.out, series)
    return 0 if series.finished or not (args.follow or args.wait) else 1


async def _submit(context: Context) -> Series:
    args, client = context.args, context.client
    words = args.words
    line = words[0] if len(words) == 1 else shlex.join(words)
    wishes: dict[str, Any] = {
        "name": args.name,
        "gpu_type": args.gpu_type,
        "gpu_count": args.gpu_count,
        "max_price": args.max_price,
        "array": args.array,
        "retries": args.retries,
        "timeout": args.timeout,
        "environment": dict(args.env) or None,
        "scheduling": scheduling.said(args),
    }
    deployment, _, rest = args.of.partition("/")
    version, _, endpoint = rest.partition("/")
    try:
        version = version or await _newest(context, deployment)
        wishes["endpoint"] = endpoint or None
        return await client.run(deployment, version, line, project=args.project, **wishes)
    except SlipwayError as error:
        if not missing(error):
            raise
    try:
        job = await client.find_job(args.of)
    except NotFound as error:
        raise NotFound(f"no deployment, version or job is called {args.of}") from error
    return await client.run_of_job(job.id, line, **wishes | {"endpoint": None})


async def _newest(context: Context, deployment: str) -> str:
    project = context.args.project
    found = await context.client.versions(deployment, limit=1, project=project)
    if not found:
        raise NotFound(f"{deployment} has no version yet", "`slipway deploy PATH` makes one")
    return found[0].name


async def _follow(context: Context, job: str) -> None:
    async with aclosing(context.client.follow_logs(job)) as lines:
        async for line in lines:
            _print(context.out, line)


def _print(out: Output, line: LogLine) -> None:
    out.record(line, lambda: out.line(line.text, COLOURS.get(line.stream, "")))


async def outputs(context: Context) -> None:
    args, client, out = context.args, context.client, context.out
    job = await client.find_job(args.job)
    if args.tar is not None:
        size = await client.save_outputs(job.id, args.tar)
        out.fields({"file": str(args.tar), "size": size}, [("file", args.tar), ("size", size)])
        return
    into = args.into or Path(job.id)
    files = await client.outputs(job.id, into)

    def show() -> None:
        for file in files:
            out.line(str(into / file))

    out.value({"folder": str(into), "files": files}, show)


async def show(context: Context) -> None:
    show_series(context.out, await context.client.series(context.args.series))


async def stop(context: Context) -> None:
    show_series(context.out, await context.client.stop_series(context.args.series))


async def terminate(context: Context) -> None:
    show_series(context.out, await context.client.terminate_series(context.args.series))


def show_series(out: Output, series: Series) -> None:
    version = f"{series.deployment}/{series.version_name}" if series.deployment else ""
    shown = [
        ("series", series.id),
        ("name", series.name),
        ("jobs", series.counts),
        ("version", version),
        ("command", "\n".join(series.command)),
        ("created", series.created_at),
        ("note", series.notes),
    ]

    def show() -> None:
        out.fields(series, shown)
        for job in series.jobs[:SHOWN]:
            out.line(f"{job.id}  {job.state}  {job.reason}".rstrip())
        if len(series.jobs) > SHOWN:
            out.line(f"… and {len(series.jobs) - SHOWN} more")

    out.value(series, show)
