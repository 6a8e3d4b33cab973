"""`slipway why`: a job's state, explained."""

from __future__ import annotations

from slipway.cli.context import Commands, Context, command
from slipway.cli.output import Output, ago
from slipway.types_queue import Other, Why


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "why",
        why,
        "say why a job is in the state that it is in, and what would change that",
        "slipway why jx0k2",
        "slipway why churn --json",
    )
    parser.add_argument("job", metavar="JOB", help="an id, the beginning of one, or a name")


async def why(context: Context) -> None:
    found = await context.client.find_job(context.args.job)
    told = await context.client.why(found.id)
    context.out.value(told, lambda: show(context.out, told))


def show(out: Output, told: Why) -> None:
    out.line(f"{told.name} is {told.state}, for {ago(told.since)}")
    out.line(told.headline, "bold")
    for line in (*told.details, *_rest(told.reason)):
        out.line(line)
    rows = list(_rows(told))
    width = max((len(name) for name, _ in rows), default=0) + 2
    for name, text in rows:
        out.line(f"{name.ljust(width)}{text}")
    for printed in told.lines:
        out.line(f"  {printed.text}", "dim")


def _rest(reason: str) -> list[str]:
    """What a reason has beside its first line, which the headline has."""
    return reason.splitlines()[1:]


def _rows(told: Why) -> list[tuple[str, str]]:
    rows = []
    if told.ahead is not None:
        least = "at least " if told.ahead_at_least else ""
        rows.append(("ahead", f"{least}{told.ahead}" if told.ahead else "nobody"))
    for what in ("ahead", "gives way"):
        named = [_named(other) for other in told.others if other.what == what]
        if named:
            rows.append(("first" if what == "ahead" else what, "; ".join(named)))
    if told.estimate is not None:
        rows.append(("starts", told.estimate.said))
    return [*rows, *(("sooner" if at == 0 else "", line) for at, line in enumerate(told.sooner))]


def _named(other: Other) -> str:
    who = other.name if other.job is None else f"{other.name} ({other.job})"
    why = f", {other.why}" if other.why else ""
    return f"{who}, {other.gpus} GPU{'s' if other.gpus != 1 else ''}{why}"
