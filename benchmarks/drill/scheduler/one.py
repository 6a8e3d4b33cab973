"""One scheduler of the drill, which is told a database, a socket, and maybe a mistake to make.

All of it is the real one but its driver. The mistakes are those of tests/simulation/plants.py.
"""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.drill.scheduler.remote import Remote
from services.scheduler.epoch import Epoch
from services.scheduler.inventory import Inventory
from services.scheduler.leader import Leader
from services.scheduler.performer import Options
from services.scheduler.queue import values
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared import log
from shared.database.pool import Database
from shared.run import every, run
from tests.simulation.plants import PLANTS

TARGET: Final = "process"
SILENCE: Final = 1.5  # seconds: about half of the pauses are longer
PRICES: Final = {"t4": 0.5, "a100": 2.0}
OPTIONS: Final = Options(
    policy=Policy(drain=0.0),
    queue=values.Policy(notice=0.5, kept=0.5),
    stop_grace=1.0,
    again_after=0.05,
)


async def act(url: str, socket: Path) -> None:
    epoch = Epoch(TARGET)
    async with Database.open(url) as database, Remote.open(socket) as driver:
        scheduler = Scheduler(database, driver, target=TARGET, options=OPTIONS, epoch=epoch)
        gpus = Inventory(database, TARGET, driver.inventory, PRICES, epoch)
        leader = Leader(
            url,
            TARGET,
            every(5.0, gpus.refresh),
            partial(scheduler.act, every=0.2),
            every=0.2,
            silence=SILENCE,
            epoch=epoch,
        )
        await run(leader.loop)


def child(arguments: list[str], output: str) -> None:
    """In a process of its own, whose output goes to that file."""
    file = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    url, socket, *fault = arguments
    log.configure("WARNING")
    for name in fault:
        PLANTS[name]()
    asyncio.run(act(url, Path(socket)))
