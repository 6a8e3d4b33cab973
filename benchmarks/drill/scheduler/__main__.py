"""`make drill-scheduler`: five schedulers, killed and stopped all the time, give GPUs to jobs.

Owners stop jobs at any moment and start them again, and what runs vanishes. A referee keeps its own
record of who could have reached which GPU, in the process that plays the target, and compares it
with what was written down: nothing may overlap, nothing may be left, and every move has its event.
It goes on until every job had a place, so many GPUs were given and so many stops have met a job
between its place and its start, and fails when it ran out of time before that. `--record FILE`
keeps its figures.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.drill.scheduler.crowd import Crowd
from benchmarks.drill.scheduler.owners import Owners, Standing
from benchmarks.drill.scheduler.tally import Tally, short, tally
from benchmarks.drill.scheduler.target import Target
from services.scheduler.driver import Gpu
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.ids import JobId
from tests.simulation.plants import PLANTS, SQL
from tests.simulation.referee import Held, Record, Row, Said
from tests.simulation.target import Machines

SAID = sql("tests.simulation", "said")
HELD = sql("tests.simulation", "held")
ROWS: Final = "SELECT id, state, attempt, reason FROM jobs"

NODES: Final = 4
SIZES: Final = [1, 4, 8, 2, 16, 8, 4, 16]  # GPUs that jobs want, as far as a machine has them


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    allocations: int
    races: int
    jobs: int
    largest: int
    gpus: int
    schedulers: int
    between: int
    seed: int
    plant: str | None
    patience: float
    within: float
    record: str | None


class Drill:
    def __init__(self, asked: Asked, database: Database, crowd: Crowd, machines: Machines) -> None:
        self._asked = asked
        self._database = database
        self.crowd = crowd
        self._machines = machines
        self._given = False  # all that was asked for
        self._rng = random.Random(asked.seed)
        self.owners = Owners(database, random.Random(f"owners {asked.seed}"))
        self._began = datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time())

    async def run(self) -> Record:
        largest = min(self._asked.largest, self._asked.gpus // NODES)
        jobs = await self.owners.submit(
            self._asked.jobs, [size for size in SIZES if size <= largest]
        )
        calm = asyncio.Event()
        await self.crowd.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.crowd.trouble(calm, self._rng, self._some))
            group.create_task(self._vanish(calm))
            group.create_task(self.owners.meddle(calm, 0.2))
            with suppress(TimeoutError):  # what is missing by then is for the tally to tell
                async with asyncio.timeout(self._asked.within):
                    await self._until_given()
                    await self._until_raced()
            self._given = True
            calm.set()
        await self._settle()
        return await self._record(jobs)

    async def _until_given(self) -> None:
        last = time.monotonic()
        while True:
            standing = await self.owners.standing()
            if standing.given >= self._asked.allocations and not standing.unplaced:
                return
            if time.monotonic() - last > 15.0:
                last = time.monotonic()
                print(
                    f"  {standing.given} allocations, {standing.unplaced} jobs had no place yet",
                    flush=True,
                )
            await asyncio.sleep(0.5)

    async def _until_raced(self) -> None:
        """It is counted anew each time, so the more there is to count, the less often."""
        while True:
            began = time.monotonic()
            raced = await self.owners.raced()
            if raced >= self._asked.races:
                return
            print(f"  {raced} stops raced a start", flush=True)
            await asyncio.sleep(max(0.5, 20 * (time.monotonic() - began)))

    async def _some(self) -> None:
        """Returns when some more GPUs have been given, so that what is slow is not stood still."""
        enough = len(self._machines.uses) + self._rng.randint(0, 2 * self._asked.between)
        while True:
            if len(self._machines.uses) >= enough or self._given:
                return
            await asyncio.sleep(0.05)

    async def _vanish(self, calm: asyncio.Event) -> None:
        while not calm.is_set():
            await asyncio.sleep(self._rng.uniform(0.05, 0.3))
            if running := sorted(self._machines.workloads):
                self._machines.lose(self._rng.choice(running), trace=self._rng.random() < 0.5)

    async def _settle(self) -> Standing:
        """Wait as long as it may take; what is not right by then is for the referee to tell."""
        deadline = time.monotonic() + self._asked.patience
        while True:
            await self.owners.stop_all()
            standing = await self.owners.standing()
            over = not standing.unended and not standing.held and not self._machines.workloads
            if over or time.monotonic() > deadline:
                return standing
            await asyncio.sleep(0.3)

    async def _record(self, jobs: Sequence[JobId]) -> Record:
        said = await self._database.fetch(SAID)
        held = await self._database.fetch(HELD)
        rows = await self._database.fetch(ROWS)
        return Record(
            accepted=jobs,
            said=msgspec.convert([dict(row) for row in said], list[Said]),
            held=msgspec.convert([dict(row) for row in held], list[Held]),
            rows=msgspec.convert([dict(row) for row in rows], list[Row]),
            uses=self._machines.uses,
            began=self._began,
            exact=False,
        )


def gpus(count: int) -> list[Gpu]:
    found = []
    for number in range(count):
        name, node = f"process/t4-{number}", f"n{number % NODES}"
        found.append(Gpu(id=name, type="t4", device=name, node=node))
    return found


@asynccontextmanager
async def scene(asked: Asked, home: Path, url: str) -> AsyncIterator[Drill]:
    machines = Machines(
        gpus(asked.gpus), random.Random(asked.seed), ready=(0.0, 0.01, 0.05), ends=(0.0, 0.01, 0.1)
    )
    async with Database.open(url) as database:
        await migrate(database)
        if asked.plant in SQL:
            await database.execute(SQL[asked.plant])
        command = [url, str(home / "target"), *([asked.plant] if asked.plant else [])]
        crowd = Crowd(database, command, home, asked.schedulers)
        async with Target(machines).open(home / "target"):
            try:
                yield Drill(asked, database, crowd, machines)
            finally:
                await crowd.end()


async def drill(asked: Asked) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slipway-drill-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with postgres(home / "data") as url:
            async with scene(asked, home, url) as work:
                record = await work.run()
    told = tally(
        record,
        work.crowd.done,
        seed=asked.seed,
        planted=asked.plant,
        schedulers=asked.schedulers,
        gpus=asked.gpus,
        seconds=time.monotonic() - began,
    )
    if asked.record:
        Path(asked.record).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2))
    return report(told, short(told, allocations=asked.allocations, races=asked.races))


def report(told: Tally, missing: Sequence[str]) -> int:
    print(
        f"{told.allocations} allocations to {told.attempts} attempts of {told.placed} of "
        f"{told.jobs} jobs, {told.races} stops raced a start, {told.kills} kills, "
        f"{told.pauses} pauses, {told.events} events, in {told.seconds:.0f} s"
    )
    print("\n".join(f"  ✗ {line}" for line in [*missing, *told.wrong[:20]]))
    print(f"{len(told.wrong)} rules broken" if told.wrong else "every rule held")
    return 1 if told.wrong or missing else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make drill-scheduler", description=__doc__)
    parser.add_argument("--allocations", type=int, default=100_000, help="GPUs to be given in all")
    parser.add_argument("--races", type=int, default=10_000, help="stops that race a start")
    parser.add_argument("--jobs", type=int, default=1_000)
    parser.add_argument("--largest", type=int, default=max(SIZES), help="GPUs of one job")
    parser.add_argument("--gpus", type=int, default=256)
    parser.add_argument("--schedulers", type=int, default=5)
    parser.add_argument("--between", type=int, default=200, help="GPUs given between two troubles")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="replays the choices")
    parser.add_argument("--plant", choices=sorted(PLANTS), help="a mistake that must be caught")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to settle")
    parser.add_argument("--within", type=float, default=7_200.0, help="seconds for all of that")
    parser.add_argument("--record", metavar="FILE", help="keep its figures there, as JSON")
    given = parser.parse_args(arguments)
    print(f"drill: seed {given.seed}, planted: {given.plant}", flush=True)
    return asyncio.run(drill(msgspec.convert(vars(given), Asked)))


if __name__ == "__main__":
    sys.exit(main())
