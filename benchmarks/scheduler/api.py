"""The API beside a deep queue: how fast it takes jobs in, and how fast it lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.hammer import Run
from benchmarks.scheduler import listing, submissions
from benchmarks.table import Figure

RATE: Final = 1_000  # submissions a second, asked for
PATIENCE: Final = 0.05  # seconds of the p99 of a submission, and of any page


async def measure(home: Path, processes: int, count: int, listed: int) -> list[Figure]:
    """`count` submissions at so many API processes, and pages of `listed` waiting jobs."""
    for part in ("submissions", "listing"):
        (home / part).mkdir()
        (home / part).chmod(0o711)
    told = await submissions.submit(home / "submissions", processes, count)
    found = await listing.pages(home / "listing", listed)
    said = f"{processes} API processes, {told.processor:.0f} s of processor in all"
    return [
        *_submitted("endpoints", told.endpoints, 1, said),
        *_submitted("commands", told.commands, 1, "jobs of a version that is there"),
        *_submitted("arrays", told.arrays, submissions.ARRAY, f"{submissions.ARRAY} jobs each"),
        *(_page(what, listed, took) for what, took in found.items()),
    ]


def _submitted(what: str, run: Run, jobs: int, note: str) -> list[Figure]:
    late, rate = run.percentile(0.99), run.rate * jobs
    rate_figure = Figure(
        what=f"durable submissions of {what}, jobs",
        ours=f"{rate:,.0f}/s",
        anchor=f"{RATE:,}/s",
        ratio=rate / RATE,
        note=f"the figure asked for; {note}",
    )
    if jobs > 1:
        return [rate_figure]
    late_figure = Figure(
        what="... p50 and p99",
        ours=f"{run.percentile(0.5) * 1e3:.0f} and {late * 1e3:.0f} ms",
        anchor=f"{PATIENCE * 1e3:.0f} ms",
        ratio=PATIENCE / late,
        note=f"the figure asked for, of the p99; {submissions.AT_ONCE} requests in hand",
    )
    return [rate_figure, late_figure]


def _page(what: str, listed: int, took: list[float]) -> Figure:
    middle, slowest = sorted(took)[len(took) // 2], max(took)
    return Figure(
        what=f"a page of {listing.LIMIT}, {what}, of {listed:,}",
        ours=f"{middle * 1e3:.1f} and {slowest * 1e3:.1f} ms",
        anchor=f"{PATIENCE * 1e3:.0f} ms",
        ratio=PATIENCE / slowest,
        note="the figure asked for; p50, and the slowest",
    )
