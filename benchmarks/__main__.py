"""`make bench`: how fast the main job is, each figure beside its anchor in the same run."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path

from benchmarks import first_answer, routing, submissions
from benchmarks.table import Figure, show
from tests.acceptance.platform import embedded

# a thousand versions wait here for a builder that is meant to be slower
SETTINGS = {"SLIPWAY_GPUS": "bench:1", "LOG_LEVEL": "WARNING", "BUILDS_PER_OWNER": "0"}


async def bench(submitted: int, rounds: int, requests: int) -> list[Figure]:
    home = Path(tempfile.mkdtemp(prefix="slipway-bench-"))
    try:
        async with embedded(home, **SETTINGS) as platform:
            print("submit to first answer …", flush=True)
            figures = await first_answer.measure(platform, rounds)
            print("requests through the router …", flush=True)
            figures += await routing.measure(platform, requests)
            print("submissions …", flush=True)
            return figures + await submissions.measure(platform, submitted)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=8000)
    asked = parser.parse_args()
    show(asyncio.run(bench(asked.submissions, asked.rounds, asked.requests)))


if __name__ == "__main__":
    main()
