"""`make bench`: how fast the main job is, each figure beside its anchor in the same run.

Exits with 1 when a figure is not as was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import first_answer, gateway, images, memory, routing, submissions
from benchmarks.scheduler import api as scheduler_api
from benchmarks.scheduler import measure as scheduler
from benchmarks.table import Figure, missed, show
from tests.acceptance.platform import embedded

# a thousand versions wait here for a builder that is meant to be slower
SETTINGS = {"SLIPWAY_GPUS": "bench:1", "LOG_LEVEL": "WARNING", "BUILDS_PER_OWNER": "0"}


USUAL: Final = ("platform", "images", "memory", "gateway", "scheduler")
PARTS: Final = (*USUAL, "scheduler-api", "kubernetes")  # a million rows, and a cluster


async def bench(asked: argparse.Namespace) -> list[Figure]:
    home = Path(tempfile.mkdtemp(prefix="slipway-bench-"))
    figures: list[Figure] = []
    try:
        for part in asked.parts or USUAL:
            folder = home / part
            folder.mkdir()
            match part:
                case "platform":
                    figures += await of_platform(folder, asked)
                case "images":
                    print("images …", flush=True)
                    figures += await images.measure(folder, asked.rounds)
                case "memory":
                    print("memory for a large model …", flush=True)
                    figures += await memory.measure(folder)
                case "gateway":
                    print("predictions through the gateway …", flush=True)
                    figures += await gateway.measure(asked.requests)
                case "scheduler":
                    print(f"admissions for {asked.seconds:.0f} s, and a trace …", flush=True)
                    figures += await scheduler.measure(folder, asked.seconds, asked.waiting)
                case "scheduler-api":
                    print(f"submissions, and pages of {asked.listed:,} jobs …", flush=True)
                    figures += await scheduler_api.measure(
                        folder, asked.processes, asked.submissions, asked.listed
                    )
                case "kubernetes":
                    from benchmarks.kubernetes import measure as kubernetes  # heavy

                    print(f"{asked.endpoints} endpoints on a cluster …", flush=True)
                    figures += await kubernetes.measure(folder, asked.endpoints)
        return figures
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def of_platform(home: Path, asked: argparse.Namespace) -> list[Figure]:
    async with embedded(home, **SETTINGS) as platform:
        print("submit to first answer …", flush=True)
        figures = await first_answer.measure(platform, asked.rounds)
        print("requests through the router …", flush=True)
        figures += await routing.measure(platform, asked.requests)
        print("submissions …", flush=True)
        return figures + await submissions.measure(platform, asked.submissions)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=8000)
    parser.add_argument("--endpoints", type=int, default=300, help="on a cluster, at once")
    parser.add_argument("--seconds", type=float, default=60, help="of admissions")
    parser.add_argument("--waiting", type=int, default=100_000, help="jobs, of admissions")
    parser.add_argument("--processes", type=int, default=2, help="of the API, for submissions")
    parser.add_argument("--listed", type=int, default=1_000_000, help="jobs, of which pages show")
    asked = parser.parse_args(arguments)
    if unknown := sorted({*asked.parts} - {*PARTS}):
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    figures = asyncio.run(bench(asked))
    show(figures)
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
