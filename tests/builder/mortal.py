"""A builder that kills itself at one point of a build, as a machine may at any.

`python -m tests.builder.mortal POINT` is the builder with the embedded platform's bus. A point is
`STAGE:begin` or `STAGE:end`, `STAGE:amid` while the stage has a process of its own running,
`record:begin` or `record:end` around the transaction that ends the build, or `never`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import services.builder.main as builder
from services.builder import claims
from services.builder.claims import Built, Claim, Failed
from services.builder.stages import Stage, Stages
from shared.blobs import Blobs
from shared.bus.local import LocalBus
from shared.config import read
from shared.database.pool import Database
from shared.run import run
from shared.service import Floor

POINT = sys.argv[1]


def reach(point: str) -> None:
    if point == POINT:
        os.kill(os.getpid(), signal.SIGKILL)


async def when_it_has_a_process(stage: Stage) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while not children.read_text().split():
        await asyncio.sleep(0.005)
    reach(f"{stage}:amid")


def plant() -> None:
    stage, finish = Stages.stage, claims.finish

    @asynccontextmanager
    async def mortal_stage(self: Stages, name: Stage) -> AsyncIterator[None]:
        reach(f"{name}:begin")
        amid = asyncio.create_task(when_it_has_a_process(name))
        try:
            async with stage(self, name):
                yield
        finally:
            amid.cancel()
        reach(f"{name}:end")

    async def mortal_finish(database: Database, held: Claim, outcome: Built | Failed) -> bool:
        reach("record:begin")
        done = await finish(database, held, outcome)
        reach("record:end")
        return done

    Stages.stage = mortal_stage  # type: ignore[method-assign]
    claims.finish = mortal_finish


async def main() -> None:
    plant()
    config = read(builder.Config, os.environ)
    async with Database.open(config.database_url) as database:
        floor = Floor(database, LocalBus(), Blobs.open(config.blobs_url))
        async with builder.compose(config, floor) as loops:
            await run(*loops, grace=5.0)


if __name__ == "__main__":
    asyncio.run(main())
