"""The drill's schedulers: one acts, the others stand by, and none of them is safe.

Each is a process of its own, forked from one that has everything loaded, so that the drill spends
its time on what it tries and not on beginnings.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from benchmarks.drill.scheduler import one
from shared.database.pool import Database

HOLDER: Final = "SELECT holder FROM leaders"


class Crowd:
    def __init__(self, database: Database, arguments: list[str], home: Path, size: int) -> None:
        self._database = database
        self._arguments = arguments
        self._log = home / "schedulers.log"
        self._size = size
        self._forks = multiprocessing.get_context("forkserver")
        self._forks.set_forkserver_preload([one.__name__])
        self._processes: list[BaseProcess] = []
        self.done: Counter[str] = Counter()

    async def start(self) -> None:
        while len(self._processes) < self._size:
            await self._add()

    async def trouble(
        self, calm: asyncio.Event, rng: random.Random, some: Callable[[], Awaitable[None]]
    ) -> None:
        """kill -9, and standing still, as often as not for so long that another acts, whenever
        `some` has been done between."""
        while True:
            await some()
            await asyncio.sleep(rng.uniform(0.0, 0.3))
            if calm.is_set():
                return
            leader = await self._leader()
            process = leader if leader and rng.random() < 0.8 else rng.choice(self._processes)
            if rng.random() < 0.6:
                await self._kill(process)
            else:
                await self._pause(process, rng.uniform(0.2, 3.0))

    async def end(self) -> None:
        for process in self._processes:
            await asyncio.to_thread(_end, process)

    async def _add(self) -> None:
        process = self._forks.Process(target=one.child, args=(self._arguments, str(self._log)))
        await asyncio.to_thread(process.start)
        self._processes.append(process)

    async def _kill(self, process: BaseProcess) -> None:
        self.done["killed"] += 1
        self._processes.remove(process)
        await asyncio.to_thread(_end, process)
        await self._add()

    async def _pause(self, process: BaseProcess, seconds: float) -> None:
        self.done["paused"] += 1
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(process.pid, signal.SIGCONT)

    async def _leader(self) -> BaseProcess | None:
        holder = await self._database.value(HOLDER)
        named = {str(process.pid): process for process in self._processes}
        return named.get((holder or " ").rsplit(" ", 1)[-1])


def _end(process: BaseProcess) -> None:
    process.kill()
    process.join()
