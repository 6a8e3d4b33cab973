"""The drill's schedulers: one acts, the others stand by, and none of them is safe."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from shared.database.pool import Database
from tests.acceptance.platform import ROOT

HOLDER: Final = "SELECT holder FROM leaders"
LOCKS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
"""


class Crowd:
    def __init__(self, database: Database, command: list[str], home: Path, size: int) -> None:
        self._database = database
        self._command = [sys.executable, "-m", "benchmarks.drill.scheduler.one", *command]
        self._home = home
        self._size = size
        self._processes: list[asyncio.subprocess.Process] = []
        self.done: Counter[str] = Counter()

    async def start(self) -> None:
        while len(self._processes) < self._size:
            await self._add()

    async def trouble(self, calm: asyncio.Event, rng: random.Random, calmer: float) -> None:
        """kill -9, and standing still for longer than the lock is held, again and again."""
        while not calm.is_set():
            await asyncio.sleep(rng.uniform(0.3, 2.5) * calmer)
            leader = await self._leader()
            process = leader if leader and rng.random() < 0.8 else rng.choice(self._processes)
            if rng.random() < 0.6:
                await self._kill(process)
            else:
                await self._pause(process, rng.uniform(0.2, 4.0))

    async def log(self) -> str:
        return (self._home / "schedulers.log").read_text(errors="replace")

    async def end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.wait()

    async def _add(self) -> None:
        with (self._home / "schedulers.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command, cwd=ROOT, stdout=log, stderr=log
            )
        self._processes.append(process)

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        self.done["killed"] += 1
        self._processes.remove(process)
        if process.returncode is None:
            process.kill()
        await process.wait()
        await self._add()

    async def _pause(self, process: asyncio.subprocess.Process, seconds: float) -> None:
        """PostgreSQL takes it for dead half way, so that another acts when it comes back."""
        self.done["paused"] += 1
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds / 2)
            await self._database.fetch(LOCKS)
            await asyncio.sleep(seconds / 2)
        finally:
            process.send_signal(signal.SIGCONT)

    async def _leader(self) -> asyncio.subprocess.Process | None:
        holder = await self._database.value(HOLDER)
        named = {str(process.pid): process for process in self._processes}
        return named.get((holder or " ").rsplit(" ", 1)[-1])
