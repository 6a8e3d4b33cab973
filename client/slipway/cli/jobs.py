"""`slipway jobs`, `job`, `connect`, `stop`, `restart`, `scale`, `terminate`, and so on."""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.output import Output, ago, cell
from slipway.cli.progress import Progress
from slipway.types import Job

REASON = 100  # characters of a reason in a table; `why` has the rest
COLUMNS = ("id", "name", "state", "kind", "for", "gpus", "reason")
WAITING = ("submitted", "building", "queued")
STATES = (
    "submitted",
    "building",
    "queued",
    "starting",
    "running",
    "stopping",
    "stopped",
    "finished",
    "failed",
    "terminated",
    "purged",
)


def add(commands: Commands) -> None:
    listing = command(
        commands, "jobs", jobs, "list jobs", "slipway jobs", "slipway jobs --state queued"
    )
    listing.add_argument(
        "--state", metavar="S", help=f"only those in this state: {', '.join(STATES)}"
    )
    listing.add_argument("--name", metavar="N", help="only those of this name")
    listing.add_argument("--limit", metavar="N", type=values.positive, default=100)
    _one(commands, "job", job, "show a job", "slipway job iris/20261121.0/predict")
    _one(commands, "connect", connect, "show a running job's URL and a call to it")
    _one(commands, "sbom", sbom, "print what is in a job's image, as CycloneDX")
    _one(commands, "provenance", provenance, "print how a job's image was made; --json: as signed")
    stopping = _one(commands, "stop", stop, "stop a job; it can be started again later")
    stopping.add_argument("--wait", action="store_true", help="until it has stopped")
    starting = _one(commands, "restart", restart, "start a stopped job again, from its image")
    starting.add_argument("--wait", action="store_true", help="until it runs")
    scaling = _one(
        commands, "scale", scale, "let a job have N copies, on a cluster", "slipway scale churn 3"
    )
    scaling.add_argument("copies", metavar="N", type=values.positive)
    scaling.add_argument("--wait", action="store_true", help="until so many run")
    ending = _one(commands, "terminate", terminate, "remove a stopped or failed job for good")
    ending.add_argument("--force", action="store_true", help="stop it first, and wait for that")


def _one(
    commands: Commands,
    name: str,
    run: Callable[[Context], Coroutine[Any, Any, int | None]],
    about: str,
    *examples: str,
) -> argparse.ArgumentParser:
    shown = examples or (f"slipway {name} jx0k2", f"slipway {name} churn")
    parser = command(commands, name, run, about, *shown)
    parser.add_argument("job", metavar="JOB", help="an id, the beginning of one, or a name")
    return parser


async def jobs(context: Context) -> None:
    args = context.args
    found = await context.client.jobs(
        state=args.state, name=args.name, limit=args.limit, project=args.project
    )
    context.out.rows(
        found,
        COLUMNS,
        lambda job: (
            job.id,
            job.name,
            job.state,
            job.kind,
            ago(job.changed_at),
            gpus(job),
            short(job.reason),
        ),
    )
    if not found:
        context.out.say("no jobs; `slipway deploy PATH` makes some")


async def job(context: Context) -> None:
    show_job(context.out, await context.client.find_job(context.args.job))


async def connect(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    connection = await context.client.connection(found.id)
    context.out.fields(connection, [("url", connection.url), ("example", connection.example)])


async def sbom(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    context.out.document(await context.client.sbom(found.id))


async def provenance(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    told = await context.client.provenance(found.id)
    context.out.document(told if context.args.json else statement(told))


def statement(told: dict[str, Any]) -> Any:
    """The statement itself, without the envelope that it may be signed in."""
    return json.loads(base64.b64decode(told["payload"])) if "payload" in told else told


async def stop(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    stopping = await context.client.stop(found.id)
    await _settle(context, stopping, "stopped", wait=context.args.wait)


async def restart(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    restarted = await context.client.restart(found.id)
    await _settle(context, restarted, "running", wait=context.args.wait)


async def scale(context: Context) -> None:
    args, client = context.args, context.client
    found = await client.find_job(args.job)
    job = await client.scale(found.id, args.copies)
    context.hint = f"it goes on; `slipway job {job.id}` shows how"
    if args.wait:
        with context.out.working(f"{job.name} runs {copies(job)}") as show:
            watch = Progress(context.out, show).job
            job = await client.wait_for_copies(job.id, watch=watch)
    show_job(context.out, job)


async def terminate(context: Context) -> None:
    client = context.client
    found = await client.find_job(context.args.job)
    if context.args.force and found.state not in ("stopped", "finished", "failed"):
        with context.out.working(f"stopping {found.name}") as show:
            if found.state != "stopping":
                await client.stop(found.id)
            watch = Progress(context.out, show).job
            await client.wait_for_job(found.id, "stopped", "failed", watch=watch)
    show_job(context.out, await client.terminate(found.id))


async def _settle(context: Context, job: Job, state: str, *, wait: bool) -> None:
    context.hint = f"it goes on; `slipway job {job.id}` shows how"
    if wait:
        with context.out.working(f"{job.name} is {job.state}") as show:
            watch = Progress(context.out, show).job
            job = await context.client.wait_for_job(job.id, state, watch=watch)
    show_job(context.out, job)


def show_job(out: Output, job: Job) -> None:
    out.fields(
        job,
        [
            ("id", job.id),
            ("name", job.name),
            ("state", job.state),
            ("status", job.status if job.status != job.state else ""),
            ("reason", job.reason),
            ("url", job.url),
            ("project", f"{job.owner}/{job.project}"),
            ("version", f"{job.deployment}/{job.version_name}" if job.deployment else job.version),
            ("copies", copies(job)),
            ("gpus", gpus(job)),
            ("disk", f"{job.disk_size} GiB" if job.disk_size else ""),
            ("price", f"{job.price_per_hour:g} an hour" if job.price_per_hour else ""),
            ("spent", job.spent or ""),
            ("queue", queueing(job)),
            ("start by", job.start_by if job.state in WAITING else ""),
            ("gives way", job.give_way_at),
            ("attempt", job.attempt),
            ("restarts", job.restarts or ""),
            ("series", job.series),
            ("exit code", job.exit_code),
            ("outputs", outputs(job)),
            ("created", job.created_at),
            ("changed", job.changed_at),
            ("purged", purged(job)),
        ],
    )


def queueing(job: Job) -> str:
    """What the queue was told of it, where that is not what is usual."""
    said = {f"{job.priority} priority": job.priority != "normal", "preemptible": job.preemptible}
    said |= {"gang": job.gang, f"runs {job.run_at_most or 0:g} s at most": bool(job.run_at_most)}
    return ", ".join(words for words, is_so in said.items() if is_so)


def short(reason: str) -> str:
    """Its first line, as far as it fits a table."""
    line = reason.partition("\n")[0]
    return line if len(line) <= REASON else line[: REASON - 2] + " …"


def copies(job: Job) -> str:
    """How many run of those that are wanted, where that is not simply one."""
    if job.copies == 1 and job.copies_running <= 1:
        return ""
    return f"{job.copies_running} of {job.copies} run"


def purged(job: Job) -> str:
    """When it will be, if nobody uses it until then."""
    if job.purge_at is None:
        return ""
    left = max(0, round((job.purge_at - datetime.now(UTC)).total_seconds() / 86_400))
    when = "today" if left == 0 else f"in {left} day{'s' if left > 1 else ''}"
    what = "restart it" if job.state == "stopped" else "download what it made"
    return f"{when}, {job.purge_at:%Y-%m-%d %H:%M} UTC, unless you {what}"


def outputs(job: Job) -> str:
    """How much a batch job left, and how to have it."""
    if job.outputs_size is None:
        return ""
    return f"{job.outputs_size} bytes; `slipway outputs {job.id}` unpacks them"


def gpus(job: Job) -> str:
    """What it holds, else what it asks for."""
    if job.gpus:
        return cell(job.gpus)
    if not job.gpu_count:
        return ""
    wish = f"{job.gpu_count} x {' or '.join(job.gpu_types) or 'any'}"
    return wish if job.copies == 1 else f"{job.copies} times {wish}"
