"""What became of so many endpoints, and what it took: seconds, bytes, calls."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.kubernetes.peer import Applied
from benchmarks.table import Figure

WRITES = ("create", "patch", "update", "delete")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    count: int
    applied: float
    ready: float
    gone: float
    calls: dict[str, int]  # until all were ready: `verb plural` -> requests
    served: int  # those of them that write, as the API server counted them
    sent: int  # until then, encrypted
    received: int
    idle: int  # memory before
    peak: int
    quiet: dict[str, int]  # calls while nothing happened
    objects: int


def writes(calls: Mapping[str, int]) -> int:
    return sum(count for what, count in calls.items() if what.split()[0] in WRITES)


def show_calls(run: Run) -> None:
    table = Table(title=f"API calls for {run.count} endpoints, until all were ready")
    for heading in ("call", "all", "per endpoint"):
        table.add_column(heading, justify="left" if heading == "call" else "right")
    for what, count in sorted(run.calls.items(), key=lambda each: -each[1]):
        table.add_row(what, str(count), f"{count / run.count:.2f}")
    table.add_section()
    table.add_row("that write", str(writes(run.calls)), f"{writes(run.calls) / run.count:.2f}")
    table.add_row("the same, as the API server counted", str(run.served), "")
    quiet = ", ".join(f"{count} {what}" for what, count in run.quiet.items()) or "none"
    table.add_row("of 15 s in which nothing changed", quiet, "")
    Console().print(table)


def figures(run: Run, kubectl: Applied, ready: float, bare: float) -> list[Figure]:
    """`ready`: when all were, after kubectl had begun; `bare`: seconds to apply without looking."""
    n, total = run.count, sum(run.calls.values())
    return [
        Figure(
            what=f"{n} endpoints: all applied",
            ours=f"{run.applied:.1f} s",
            anchor=f"{kubectl.seconds:.1f} s",
            ratio=kubectl.seconds / run.applied,
            note=f"kubectl apply --server-side, the same {run.objects} objects",
        ),
        Figure(
            what=f"{n} endpoints: all applied",
            ours=f"{run.applied:.1f} s",
            anchor=f"{bare:.1f} s",
            ratio=bare / run.applied,
            note="bare requests, 32 at a time",
        ),
        Figure(
            what=f"{n} endpoints: all ready",
            ours=f"{run.ready:.1f} s",
            anchor=f"{ready:.1f} s",
            ratio=ready / run.ready,
            note="the same objects after kubectl",
        ),
        Figure(
            what="API calls per endpoint",
            ours=f"{total / n:.2f}",
            anchor=f"{run.objects / n:.2f}",
            ratio=run.objects / total,
            note="one for each object",
        ),
        Figure(
            what="memory of the scheduler, peak",
            ours=f"{run.peak / 2**20:.0f} MiB",
            anchor=f"{run.idle / 2**20:.0f} MiB",
            ratio=run.idle / run.peak,
            note=f"itself before; kubectl: {kubectl.memory / 2**20:.0f} MiB",
        ),
        Figure(
            what="bytes per endpoint, both ways",
            ours=f"{(run.sent + run.received) / n / 1e3:.1f} kB",
            anchor=f"{kubectl.transferred / n / 1e3:.1f} kB",
            ratio=kubectl.transferred / (run.sent + run.received),
            note=f"kubectl; ours {run.sent / n / 1e3:.1f} kB up, {run.received / n / 1e3:.1f} down",
        ),
    ]
