"""A run of the drill in figures: what it tried, what it found, and where it tried too little."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from tests.simulation.referee import Record, judge, leaks, overlaps, placed, races

ROOT: Final = Path(__file__).parents[3]
COMMIT: Final = ("git", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty")


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """As `--record` keeps it."""

    date: str
    commit: str  # of what was tried; `-dirty` where something in it was changed
    seed: int
    planted: str | None
    schedulers: int
    gpus: int
    seconds: float
    jobs: int
    placed: int  # of these jobs, how many ever had a place
    allocations: int
    attempts: int
    events: int
    kills: int
    pauses: int
    races: int  # stops that met a job between its place and its start
    overlaps: int
    leaks: int
    wrong: list[str]  # every broken rule


def tally(
    record: Record,
    done: Mapping[str, int],
    *,
    seed: int,
    planted: str | None,
    schedulers: int,
    gpus: int,
    seconds: float,
) -> Tally:
    """`done` says how often what was done to the schedulers."""
    return Tally(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit(),
        seed=seed,
        planted=planted,
        schedulers=schedulers,
        gpus=gpus,
        seconds=round(seconds, 1),
        jobs=len(record.accepted),
        placed=len(placed(record.said) & {*record.accepted}),
        allocations=len(record.held),
        attempts=len({(held.job, held.attempt) for held in record.held}),
        events=len(record.said),
        kills=done.get("killed", 0),
        pauses=done.get("paused", 0),
        races=races(record.said),
        overlaps=len(overlaps(record)),
        leaks=len(leaks(record)),
        wrong=judge(record),
    )


def short(told: Tally, *, allocations: int, races: int) -> list[str]:
    """What was tried less often than was asked: a run that tried nothing shows nothing."""
    wanted = (
        (told.allocations, allocations, "allocations were made"),
        (told.races, races, "stops raced a start"),
        (told.placed, told.jobs, "jobs ever had a place"),
    )
    return [f"only {had} of {asked} {what}" for had, asked, what in wanted if had < asked]


def commit() -> str:
    done = subprocess.run(COMMIT, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
