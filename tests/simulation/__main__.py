"""`python -m tests.simulation SEED` replays one; `FIRST LAST` runs many and stops at no failure.

Exits with 1 when a rule was broken, and says by which seeds. `--trace` shows what happened.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shared.database.embedded import postgres
from tests.simulation.clock import timeless
from tests.simulation.loop import VirtualLoop
from tests.simulation.plants import PLANTS, SQL
from tests.simulation.world import Verdict, connect, simulate, tidy

TIDY = 25  # seeds after which dead rows are swept up
HASH_SEED = "0"  # what sets are in no order by must be the same each time


@contextmanager
def server(url: str | None) -> Iterator[str]:
    """A PostgreSQL to make databases on."""
    if url:
        yield url
        return
    with (
        tempfile.TemporaryDirectory(prefix="slipway-sim-", ignore_cleanup_errors=True) as folder,
        postgres(Path(folder) / "data") as own,
    ):
        yield own


def many(seeds: Iterable[int], server: str, spoil: str = "") -> Iterator[Verdict]:
    """Each seed's verdict, in a database of their own, in which `spoil` is done first."""
    with asyncio.Runner() as outside:
        made = timeless(server)
        url = outside.run(anext(made.gen))  # type: ignore[attr-defined]
        loop = VirtualLoop()
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as inside:
                with loop.outside():
                    session = inside.run(connect(url, spoil))
                for number, seed in enumerate(seeds):
                    if number % TIDY == 0:
                        with loop.outside():
                            inside.run(tidy(session))
                    loop.begin()
                    yield inside.run(simulate(seed, session))
                session.terminate()
        finally:
            outside.run(made.gen.aclose())  # type: ignore[attr-defined]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("first", type=int, help="a seed")
    parser.add_argument("last", type=int, nargs="?", help="run all from the first to this one")
    parser.add_argument("--server", help="URL of a PostgreSQL that may make databases")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="a mistake that must be caught")
    parser.add_argument("--first-only", action="store_true", help="end at the first broken seed")
    parser.add_argument("--trace", action="store_true", help="show what happened")
    asked = parser.parse_args(arguments)
    if asked.plant:
        PLANTS[asked.plant]()
    logging.disable(logging.CRITICAL)
    seeds = range(asked.first, (asked.last or asked.first) + 1)
    began, broken, placed, raced = time.process_time(), 0, 0, 0
    with server(asked.server) as url:
        for verdict in many(seeds, url, SQL.get(asked.plant, "")):
            placed += verdict.placed
            raced += verdict.raced
            broken += bool(verdict.wrong)
            report(verdict, trace=asked.trace)
            if broken and asked.first_only:
                break
    spent = time.process_time() - began
    print(
        f"{len(seeds)} seeds, {placed} GPUs given, {raced} stops raced a start, "
        f"{broken} seeds broken; {spent:.1f} s of Python"
    )
    return 1 if broken else 0


def report(verdict: Verdict, *, trace: bool) -> None:
    if trace:
        print("\n".join(verdict.trace))
        print(f"trace {verdict.digest}")
    if verdict.wrong:
        print(f"seed {verdict.seed} (replay: python -m tests.simulation {verdict.seed} --trace)")
        print("\n".join(f"  ✗ {line}" for line in verdict.wrong), flush=True)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ["PYTHONHASHSEED"] = HASH_SEED
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
