"""One scheduler of a simulation: the real one, and all that can happen to its process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import msgspec

from services.scheduler.epoch import Epoch
from services.scheduler.inventory import Inventory
from services.scheduler.leader import TAKE
from services.scheduler.performer import Options
from services.scheduler.queue import values
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import Event
from shared.run import every
from tests.simulation.line import Line, Server
from tests.simulation.target import Away, Door, Machines

TARGET = "process"
OPTIONS = Options(
    policy=Policy(start_deadline=120.0),
    queue=values.Policy(notice=3.0, kept=5.0),
    stop_grace=2.0,
    router_url="http://router",
)
PRICES = {"t4": 0.5, "a100": 2.0}
LOOK, COUNT = 5.0, 20.0  # seconds between two looks, and between two counts of the GPUs

Tell = Callable[[str, str], None]
"""Takes who did what."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How often what goes wrong, of the chances there are."""

    lost: float = 0.0  # a statement that never arrives
    unanswered: float = 0.0  # one that is carried out, and the answer is lost
    away: float = 0.0  # a question to the target that never arrives
    silent: float = 0.0  # one that is done, and the answer is lost
    slow: float = 0.0  # seconds that either may take at most


class Process:
    """From its start to its end. While it stands still, nothing of it reaches anybody."""

    def __init__(self, name: str, faults: Faults, chance: random.Random) -> None:
        self.name = name
        self.faults = faults
        self.alive = True
        self.moving = asyncio.Event()
        self.moving.set()
        self.stopping = asyncio.Event()
        self.deposed = False  # its session is gone, and its lock with it
        self.epoch: int | None = None
        self._chance = chance
        self._task: asyncio.Task[None] | None = None
        self._scheduler: Scheduler | None = None
        self._tell: Tell | None = None

    @property
    def acts(self) -> bool:
        return self._task is not None

    def run(self, server: Server, machines: Machines, tell: Tell) -> None:
        """It acts from now on."""
        self._tell = tell
        self._task = asyncio.create_task(self._live(server, machines), name=self.name)

    async def hear(self, event: Event) -> None:
        if self._scheduler is not None and self.moving.is_set():
            await self._scheduler.on_event(event)

    async def ended(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    async def kill(self) -> None:
        """It is gone at once; what it asked for may still happen."""
        self.alive = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def broken(self) -> BaseException | None:
        """What it ended with, if it ended by itself."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()

    async def _live(self, server: Server, machines: Machines) -> None:
        database = Line(server, self).database()
        door = Door(machines, self)
        epoch = Epoch(TARGET)
        scheduler = self._scheduler = Scheduler(
            database, door, target=TARGET, options=OPTIONS, epoch=epoch
        )
        gpus = Inventory(database, TARGET, door.inventory, PRICES, epoch)
        epoch.number = await self._lead(Line(server, _Session(self)).database())
        if epoch.number is None:
            return
        server.newest = self.epoch = epoch.number
        async with asyncio.TaskGroup() as group:
            group.create_task(every(COUNT, gpus.refresh)(self.stopping))
            group.create_task(scheduler.act(self.stopping, every=LOOK))

    async def _lead(self, session: Database) -> int | None:
        """Its epoch; None when its lock is lost by then."""
        while not self.deposed:
            with suppress(Transient):
                return int(await session.value(TAKE, TARGET, self.name))
        return None

    # the way to PostgreSQL

    async def there(self, what: str, *, inside: bool) -> None:
        await self._pass(inside=inside)
        self._say(what)
        if self._happens(self.faults.lost):
            self._say("... is lost")
            raise asyncpg.ConnectionDoesNotExistError(f"lost before {what}")

    async def back(self, what: str) -> None:
        await self._pass()
        if self._happens(self.faults.unanswered):
            self._say("... is not answered")
            raise asyncpg.ConnectionDoesNotExistError(f"lost after {what}")

    def check(self) -> None:
        if not self.alive:
            raise asyncio.CancelledError

    # the way to the target

    async def knock(self, what: str) -> None:
        await self._pass()
        self._say(what)
        if self._happens(self.faults.away):
            self._say("... is lost")
            raise Away(f"lost before {what}")

    async def leave(self, what: str) -> None:
        await self._pass()
        if self._happens(self.faults.silent):
            self._say("... is not answered")
            raise Away(f"lost after {what}")

    def _say(self, what: str) -> None:
        if self._tell is not None:
            self._tell(self.name, what)

    def _happens(self, chance: float) -> bool:
        return chance > 0.0 and self._chance.random() < chance

    async def _pass(self, *, inside: bool = False) -> None:
        self.check()
        slow = self.faults.slow
        await asyncio.sleep(self._chance.choice((0.0, 0.0, 0.0, slow / 10, slow)))
        if not self.moving.is_set():
            if inside:  # PostgreSQL ends those who stand still in a transaction
                raise asyncpg.ConnectionDoesNotExistError("it was idle in a transaction")
            await self.moving.wait()
        self.check()


class _Session:
    """The session that has the lock: what it is asked once that is lost does not happen."""

    epoch = None

    def __init__(self, process: Process) -> None:
        self._process = process
        self.there = process.there
        self.back = process.back

    def check(self) -> None:
        self._process.check()
        if self._process.deposed:
            raise asyncpg.ConnectionDoesNotExistError("its session was ended")
