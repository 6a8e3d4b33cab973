"""A scheduler in a process of its own, which stands still after it chose and before it writes.

It is told a database, for how long PostgreSQL waits for it, and for each of its first placements
how: `stop` stops the process, `block` holds up its event loop until a line comes. It says on its
output when it has chosen, and how many jobs got their place once it had gone on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.epoch import Epoch
from services.scheduler.leader import Leader
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.run import run

ROOT = Path(__file__).parents[2]
OPTIONS = Options(policy=Policy(drain=0.0), again_after=0.05)


class Still:
    """That process, as the one who started it sees it."""

    def __init__(self, process):
        self.process = process

    async def says(self):
        async with asyncio.timeout(60):
            return (await self.process.stdout.readline()).decode().strip()

    async def stopped(self):
        async with asyncio.timeout(60):
            while not _state(self.process.pid).startswith("T"):
                await asyncio.sleep(0.01)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def unblock(self):
        self.process.stdin.write(b"\n")

    async def end(self):
        """As an operator would; its exit code."""
        self.process.terminate()
        async with asyncio.timeout(60):
            return await self.process.wait()


@asynccontextmanager
async def still(url: str, silence: float, *moments: str) -> AsyncIterator[Still]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __spec__.name, url, str(silence), *moments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield Still(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].strip()


def stand_still(moments: Iterator[str]) -> None:
    place_all = PostgresJobs.place_all

    async def late(self, facts):
        if not facts or not (moment := next(moments, "")):
            return await place_all(self, facts)
        print("chosen", flush=True)
        if moment == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            sys.stdin.readline()
        placed = await place_all(self, facts)
        print(f"placed {len(placed)} of {len(facts)}", flush=True)
        return placed

    PostgresJobs.place_all = late


async def act(url: str, silence: float) -> None:
    epoch = Epoch("process")
    async with Database.open(url) as database:
        scheduler = Scheduler(
            database, FakeDriver(), target="process", options=OPTIONS, epoch=epoch
        )
        acts = partial(scheduler.act, every=0.1)
        await run(Leader(url, "process", acts, every=0.1, silence=silence, epoch=epoch).loop)


if __name__ == "__main__":
    stand_still(iter(sys.argv[3:]))
    asyncio.run(act(sys.argv[1], float(sys.argv[2])))
