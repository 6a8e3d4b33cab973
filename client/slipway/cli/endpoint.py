"""`slipway endpoint create`: an endpoint of its own, with routes or a start command, on GPUs."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from slipway.calls.jobs import Options
from slipway.cli import scheduling, values
from slipway.cli.context import Commands, Context, command, group
from slipway.cli.jobs import show_job
from slipway.cli.progress import Progress
from slipway.client import AsyncClient
from slipway.deploy import LINGER, Step, step_of
from slipway.errors import BadUsage, Failed, SlipwayError
from slipway.types import Job, Review

ROUTE = (
    '\'{"verb":"POST","path":"/predict","file":"predict","function":"predict",'
    '"body":[{"name":"x","type":"float"}]}\''
)


def add(commands: Commands) -> None:
    endpoints = group(commands, "endpoint", "endpoints of their own, with routes")
    parser = command(
        endpoints,
        "create",
        create,
        "submit an endpoint with routes, or with a start command",
        f"slipway endpoint create churn --path . --route {ROUTE} --wait",
        "slipway endpoint create churn --path . --file endpoint.json --gpu-type rtx3090",
        'slipway endpoint create web --path . --start-command "python3 -m http.server 80"',
        "slipway endpoint create ocr --path . --file endpoint.json --image python:3.11"
        " --apt tesseract-ocr",
        "slipway endpoint create churn --path . --file endpoint.json --review",
        "slipway endpoint create churn --git https://git.example/ann/churn.git --ref v1.2"
        " --file endpoint.json",
    )
    parser.add_argument("name", metavar="NAME")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--path", metavar="DIR", type=Path, help="the folder with the code")
    source.add_argument("--git", metavar="URL", help="a repository with the code, to be fetched")
    parser.add_argument("--ref", metavar="R", help="with --git: a branch, tag or commit [HEAD]")
    parser.add_argument("--folder", metavar="F", help="with --git: the folder that is the code")
    entry = parser.add_mutually_exclusive_group(required=True)
    entry.add_argument(
        "--route", metavar="JSON", type=values.json, action="append", help="may be repeated"
    )
    entry.add_argument(
        "--file", metavar="FILE", type=Path, help="JSON: a list of routes, or a whole proxiML job"
    )
    entry.add_argument("--start-command", metavar="C", help="a server of your own, on port 80")
    parser.add_argument(
        "--gpu-type",
        metavar="T",
        action="append",
        help="may be repeated, in order of preference [cpu: none]",
    )
    parser.add_argument("--gpu-count", metavar="N", type=values.count)
    parser.add_argument("--disk", metavar="GB", type=values.positive)
    parser.add_argument("--env", metavar="KEY=VALUE", type=values.pair, action="append", default=[])
    parser.add_argument(
        "--pip", metavar="PACKAGE", action="append", default=[], help="installed beside the code's"
    )
    parser.add_argument(
        "--apt", metavar="PACKAGE", action="append", default=[], help="of the image's distribution"
    )
    parser.add_argument("--image", metavar="REF", help="the base image, such as python:3.11")
    parser.add_argument("--concurrency", metavar="N", type=values.positive)
    parser.add_argument("--waiting", metavar="N", type=values.count, help="requests that may wait")
    parser.add_argument(
        "--replicas", metavar="N", type=values.positive, help="copies of it, on a cluster [1]"
    )
    parser.add_argument(
        "--autoscale",
        metavar="MIN-MAX[,requests=N]",
        type=values.autoscaling,
        help="as many copies as there is work for: at most N requests in hand at each; also"
        " waiting=N, cpu=PERCENT, down-after=SECONDS",
    )
    parser.add_argument("--target", metavar="T", help="where it runs; see `slipway targets`")
    scheduling.add(parser)
    parser.add_argument("--review", action="store_true", help="say what would happen, and no more")
    parser.add_argument("--wait", action="store_true", help="until it runs")
    parser.add_argument("--timeout", metavar="SECONDS", type=values.positive, help="with --wait")


async def create(context: Context) -> int:
    args, out, client = context.args, context.out, context.client
    if args.git is None and (args.ref is not None or args.folder is not None):
        raise BadUsage("--ref and --folder go with --git")
    options = _options(args)
    if args.review:
        review = await client.review_endpoint(
            args.name, args.path, git=args.git, ref=args.ref, **options
        )
        out.value(review, lambda: _show_review(context, review))
        return 0 if review.ok else 1
    with out.working(f"submitting {args.name}") as show:
        progress = Progress(out, show)
        job = await client.create_endpoint(
            args.name,
            args.path,
            git=args.git,
            ref=args.ref,
            folder=args.folder,
            watch_source=lambda source: progress.step(step_of(source)),
            **options,
        )
        context.hint = f"it goes on; `slipway job {job.id}` shows how"
        if args.wait:
            job = await _until_it_runs(context, job, progress)
    show_job(out, job)
    return 0


async def _until_it_runs(context: Context, job: Job, progress: Progress) -> Job:
    client = context.client
    following = asyncio.create_task(_tell_build(client, job, progress))
    try:
        return await client.wait_for_job(job.id, timeout=context.args.timeout, watch=progress.job)
    except Failed:
        await asyncio.wait({following}, timeout=LINGER)
        raise
    finally:
        following.cancel()
        # the log is a comfort: what became of the job is told by the job
        with suppress(asyncio.CancelledError, SlipwayError):
            await following


async def _tell_build(client: AsyncClient, job: Job, progress: Progress) -> None:
    async for line in client.follow_build_log_of(job.id):
        progress.step(Step(kind="line", line=line))


def _options(args: argparse.Namespace) -> Options:
    document = None if args.file is None else _document(args.file)
    return Options(
        document=document,
        routes=args.route,
        start_command=args.start_command,
        gpu_type=args.gpu_type,
        gpu_count=args.gpu_count,
        disk=args.disk,
        environment=dict(args.env),
        packages=args.pip,
        apt_packages=args.apt,
        image=args.image,
        concurrency=args.concurrency,
        waiting=args.waiting,
        scheduling=scheduling.said(args),
        replicas=args.replicas,
        autoscaling=args.autoscale,
        target=args.target,
    )


def _document(path: Path) -> dict[str, Any]:
    """A whole proxiML job, or only its routes, as the fields of a job."""
    try:
        found = values.json(values.read(path))
    except argparse.ArgumentTypeError as error:
        raise BadUsage(f"{path}: {error}") from error
    if isinstance(found, list):
        return {"endpoint": {"routes": found}}
    if isinstance(found, dict) and "routes" in found:
        return {"endpoint": found}
    if not isinstance(found, dict) or not all(
        isinstance(found.get(part, {}), dict) for part in ("endpoint", "resources", "model")
    ):
        raise BadUsage(f"{path} is neither a list of routes nor a proxiML job document")
    return found


def _show_review(context: Context, review: Review) -> None:
    out = context.out
    out.line(review.message or ("it would be accepted" if review.ok else "it would be refused"))
    for wrong in review.errors:
        out.line(f"  {wrong.field}: {wrong.message}", "red")
    if review.ok and review.price_per_hour:
        out.line(f"{review.price_per_hour:g} an hour while it holds its GPUs")
