"""`make drill-kubernetes`: an API server that misbehaves once a second, and hands on the cluster.

Afterwards all is soon as the tables say, nothing is left over, nothing healthy was
ended on the way, no kind was listed more than once a second, and nothing more is written. Exits
with 1 and says what was broken otherwise. `--plant MISTAKE` puts a mistake into the driver first;
the drill then has to fail.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from tests.scheduler.kubernetes.misbehave import Outcome, trial
from tests.scheduler.kubernetes.mistakes import MISTAKES

PATIENCE: Final = 70.0  # seconds to settle: a watch that fell silent is noticed after 60


async def drill(home: Path, seconds: float, seed: int, patience: float, every: float) -> Outcome:
    with postgres(home / "postgres") as url:
        async with Database.open(url) as database:
            await migrate(database)
            async with trial(home, database) as run:
                return await run.run(seconds, seed, patience, every)


def report(outcome: Outcome) -> int:
    told = ", ".join(f"{count} {name}" for name, count in sorted(outcome.faults.items()))
    print(f"faults met: {told}")
    print("people: " + ", ".join(f"{count} {name}" for name, count in outcome.acts.items()))
    print(f"requests {outcome.calls}, lists {outcome.lists}")
    if outcome.settled is not None:
        print(f"settled {outcome.settled:.1f} s after the last fault")
    for line in outcome.wrong[:20]:
        print(f"  ✗ {line}")
    print(f"{len(outcome.wrong)} things are wrong" if outcome.wrong else "all is as it has to be")
    return 1 if outcome.wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make drill-kubernetes", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="replays the choices")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two faults")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds to settle")
    parser.add_argument("--plant", choices=sorted(MISTAKES), help="a mistake that must be caught")
    asked = parser.parse_args(arguments)
    logging.disable(logging.ERROR)  # the drill's own doing
    print(f"drill: {asked.seconds:.0f} s, seed {asked.seed}, planted: {asked.plant}", flush=True)
    if asked.plant:
        MISTAKES[asked.plant]()
    home = Path(tempfile.mkdtemp(prefix="slipway-drill-"))
    home.chmod(0o711)  # PostgreSQL passes through it as a user of its own
    try:
        work = drill(home, asked.seconds, asked.seed, asked.patience, asked.every)
        return report(asyncio.run(work))
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
