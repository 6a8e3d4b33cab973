"""`slipway queue`: who comes first, and what owners have."""

from __future__ import annotations

from slipway.cli import values
from slipway.cli.context import Commands, Context, command
from slipway.cli.output import Output, ago
from slipway.types_queue import InQueue, Queue, Quota, Share

FIRST = ("job", "owner", "class", "wants", "waits", "for", "ahead")
OWNERS = ("owner", "holds", "share", "weight", "jobs waiting", "quotas")


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "queue",
        queue,
        "show who comes first in a target's queue for GPUs, and what owners have",
        "slipway queue",
        "slipway queue eu --limit 50",
    )
    parser.add_argument("target", metavar="TARGET", nargs="?", help="[the platform's first]")
    parser.add_argument("--limit", metavar="N", type=values.positive, help="of the first [20]")


async def queue(context: Context) -> None:
    found = await context.client.queue(context.args.target, limit=context.args.limit)
    context.out.value(found, lambda: _show(context.out, found))


def _show(out: Output, queue: Queue) -> None:
    free = [f"{gpu.free} of {gpu.total} {gpu.type} free" for gpu in queue.gpus]
    out.line(f"{queue.target}: {', '.join(free) or 'no GPUs'}", "bold")
    if queue.first:
        out.table(FIRST, [_job(job) for job in queue.first])
    else:
        out.line("nobody waits for GPUs")
    if queue.owners:
        out.line("")
        out.table(OWNERS, [_owner(owner) for owner in queue.owners])


def _job(job: InQueue) -> list[object]:
    copies = f"{job.copies} times " if job.copies > 1 else ""
    wants = f"{copies}{job.gpu_count} x {' or '.join(job.gpu_types) or 'any'}"
    marks = [job.priority, *["preemptible"] * job.preemptible, *["gang"] * job.gang]
    cause = job.cause or "not looked at yet"
    return [job.name, job.owner, ", ".join(marks), wants, ago(job.queued_at), cause, job.ahead]


def _owner(owner: Share) -> list[object]:
    holds = ", ".join(f"{count} {kind}" for kind, count in owner.held.items())
    quotas = ", ".join(_quota(quota) for quota in owner.quotas)
    return [owner.owner, holds, f"{owner.share:.0%}", owner.weight, owner.waiting, quotas]


def _quota(quota: Quota) -> str:
    more = "" if quota.borrow == 0 else f" +{'any' if quota.borrow is None else quota.borrow}"
    return f"{quota.nominal}{more} {'GPUs' if quota.gpu_type == '*' else quota.gpu_type}"
