"""The API beside a deep queue: how fast it takes jobs in, and how fast it lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.hammer import Run
from benchmarks.scheduler import listing, submissions
from benchmarks.table import Figure, at_least, at_most

RATE: Final = 1_000  # submissions a second, at least: this and what follows was asked for
PATIENCE: Final = 50.0  # milliseconds of the p99 of a submission, and of any page, at most


async def measure(home: Path, processes: int, count: int, listed: int) -> list[Figure]:
    """`count` submissions at so many API processes, and pages of `listed` waiting jobs."""
    for part in ("submissions", "listing"):
        (home / part).mkdir()
        (home / part).chmod(0o711)
    told = await submissions.submit(home / "submissions", processes, count)
    found = await listing.pages(home / "listing", listed)
    said = f"{processes} API processes, {told.processor:.0f} s of processor in all"
    return [
        *submitted("endpoints", told.endpoints, 1, said),
        *submitted("commands", told.commands, 1, "jobs of a version that is there"),
        *submitted("arrays", told.arrays, submissions.ARRAY, f"{submissions.ARRAY} jobs each"),
        *(page(what, listed, took) for what, took in found.items()),
    ]


def submitted(what: str, run: Run, jobs: int, note: str) -> list[Figure]:
    """By requests of so many jobs each. How late many jobs at once are answered nobody asked."""
    rate, middle, late = run.rate * jobs, run.percentile(0.5) * 1e3, run.percentile(0.99) * 1e3
    rated = Figure(
        what=f"durable submissions of {what}, jobs",
        ours=f"{rate:,.0f}/s",
        limit=at_least(rate, RATE, "/s"),
        note=note,
    )
    waited = Figure(
        what=f"... of {what}, p50 and p99",
        ours=f"{middle:.0f} and {late:.0f} ms",
        limit=at_most(late, PATIENCE, " ms"),
        note=f"of the p99; {submissions.AT_ONCE} in hand; the median of {submissions.PARTS} parts",
    )
    return [rated] if jobs > 1 else [rated, waited]


def page(what: str, listed: int, took: list[float]) -> Figure:
    middle, slowest = sorted(took)[len(took) // 2] * 1e3, max(took) * 1e3
    return Figure(
        what=f"a page of {listing.LIMIT}, {what}, of {listed:,}",
        ours=f"{middle:.1f} and {slowest:.1f} ms",
        limit=at_most(slowest, PATIENCE, " ms"),
        note=f"p50, and the slowest of {len(took)}, of which the limit is",
    )
