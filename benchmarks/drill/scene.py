"""The drill's stage: four services, a broker, a database and a subscriber, each of which can be
killed."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from benchmarks.drill.checker import Hold
from benchmarks.drill.faulty import FAULTS, SQL
from benchmarks.drill.load import COLLISION, GPU
from shared.bus.amqp import open_amqp
from shared.errors import Transient
from shared.events import Event
from tests.acceptance.platform import SERVICES, Platform, distributed
from tests.postmaster import Postmaster
from tests.servers import Rabbit

GPUS: Final = 3
BROKER: Final = "broker"
DATABASE: Final = "database"
VICTIMS: Final = (*SERVICES, BROKER, DATABASE)

ENDED = "SELECT id, state, reason FROM jobs"
COLLISIONS = f"SELECT subject, text FROM logs WHERE text LIKE '{COLLISION}%'"
LOGGED = "SELECT id::text FROM events"
HOLDS = "SELECT gpu, job || '-' || attempt AS holder, held_at, released_at FROM allocations"


class Subscriber:
    """An outside program with a queue of its own: which events it got, each at least once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.received: set[str] = set()

    async def until_it_hears(self) -> None:
        """Announce something that is not in the log until it comes back."""
        probe = Event(
            id=str(uuid.uuid4()),
            source="/drill",
            type="slipway.drill.began.v1",
            subject="drill",
            time=datetime.now(UTC),
            data=msgspec.Raw(b"{}"),
        )
        async with open_amqp(self._url) as bus, bus.announcer() as announce:
            while probe.id not in self.received:
                with suppress(Transient):
                    await announce([probe])
                await asyncio.sleep(0.1)
        self.received.discard(probe.id)

    async def run(self, stopping: asyncio.Event) -> None:
        async def keep(event: Event) -> None:
            self.received.add(event.id)

        while not stopping.is_set():
            with suppress(Transient, OSError, ExceptionGroup):  # the broker was killed: again
                async with open_amqp(self._url) as bus:
                    await bus.subscribe("drill", ["slipway.#"], keep, at_once=64)(stopping)
            await asyncio.sleep(0.2)


class Scene:
    def __init__(self, platform: Platform, broker: Rabbit) -> None:
        self.platform = platform
        self.broker = broker
        self.postmaster = Postmaster(platform.home / "postgres")
        self.kills: dict[str, int] = dict.fromkeys(VICTIMS, 0)
        self._held: set[str] = set()  # dead on purpose for a moment

    async def kill(self, victim: str) -> None:
        """kill -9, a moment of absence, and a start."""
        self.kills[victim] += 1
        if victim == BROKER:
            await asyncio.to_thread(self.broker.kill)
            await asyncio.to_thread(self.broker.restart)
            return
        if victim == DATABASE:
            await asyncio.to_thread(self.postmaster.crash)
            await asyncio.to_thread(self.postmaster.start)
            return
        self._held.add(victim)
        await self.platform.kill(victim)
        await asyncio.sleep(0.3)
        await self.platform.start(victim)
        self._held.discard(victim)

    async def revive(self) -> None:
        """Start what ended by itself, as a service manager does (a lost broker may end one)."""
        for name, process in list(self.platform.processes.items()):
            if process.returncode is not None and name not in self._held:
                await self.platform.start(name)

    async def keep_alive(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self.revive()
            await asyncio.sleep(0.3)

    async def states(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for row in await self._rows(ENDED):
            found[row["id"]] = (*found.get(row["id"], ()), row["state"])
        return found

    async def reasons(self) -> dict[str, str]:
        return {row["id"]: row["reason"] for row in await self._rows(ENDED) if row["reason"]}

    async def collisions(self) -> tuple[str, ...]:
        rows = await self._rows(COLLISIONS)
        return tuple(f"{row['subject']}: {row['text']}" for row in rows)

    async def logged(self) -> frozenset[str]:
        return frozenset(row["id"] for row in await self._rows(LOGGED))

    async def holds(self) -> tuple[Hold, ...]:
        return tuple(
            Hold(gpu=r["gpu"], holder=r["holder"], since=r["held_at"], until=r["released_at"])
            for r in await self._rows(HOLDS)
        )

    async def plant(self, fault: str | None) -> None:
        if fault in SQL:
            connection = await asyncpg.connect(self.platform.environ["DATABASE_URL"])
            await connection.execute(SQL[fault])
            await connection.close()
        for service in FAULTS[fault].services if fault else ():
            module = f"services.{service}"
            faulty = [sys.executable, "-m", "benchmarks.drill.faulty", str(fault), module]
            self.platform.commands[service] = faulty
            self._held.add(service)
            await self.platform.kill(service)
            await self.platform.start(service)
            self._held.discard(service)
        await self.platform.until_ready()

    async def _rows(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.platform.environ["DATABASE_URL"])
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()


@asynccontextmanager
async def stage(home: Path, broker: Rabbit) -> AsyncIterator[Scene]:
    settings = {"SLIPWAY_GPUS": f"{GPU}:{GPUS}", "LOG_LEVEL": "WARNING", "STOP_GRACE": "3"}
    async with distributed(home, broker.url, **settings) as platform:
        yield Scene(platform, broker)


def leftovers(referee: Path) -> tuple[str, ...]:
    """Processes of the drill's replicas that live on, by the lock that they hold."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(referee).encode() in path.read_bytes():
                found.append(path.parent.name)
    return tuple(found)
