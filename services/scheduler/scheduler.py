"""The scheduler: looks at the target and the tables, decides, and carries out what was decided.

One `turn` is one look. The driver is asked first and the tables are read after it; replicas that
something was being done with when the look began are left out, for both pictures of them may be
old. All else that happens meanwhile is either recorded by a guarded move, which then fails, or
seen at the next turn. So a turn may come late, twice, or in a new process after any crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from services.scheduler import leftovers, reconcile
from services.scheduler.admission import Admission, Admitted
from services.scheduler.driver import Driver, Observed, Replica
from services.scheduler.epoch import Epoch
from services.scheduler.hands import Hands
from services.scheduler.logs import Shipper, clean
from services.scheduler.metrics import Metrics
from services.scheduler.outputs import Outputs
from services.scheduler.performer import Options, Performer, Vet
from services.scheduler.reconcile import RecordEnded, RecordMoved, RecordStarted, Start, Step, Stop
from services.scheduler.status import ASKS, Ask, Statuses
from services.scheduler.store import Snapshot, Store
from services.scheduler.told import Line
from services.scheduler.trouble import told
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import Event
from shared.run import pause
from shared.telemetry import Telemetry
from shared.unary.status import ask
from shared.waits import Waits

log = logging.getLogger(__name__)

STARTS: Final = 8  # at once: each may unpack an image
STOPS: Final = 256  # at once: each mostly waits
RECORDS: Final = 4  # at once: what is known is written down before all of many have started
KEEPS: Final = 4  # at once: each may send a folder of outputs
BUNCH: Final = 0.01  # seconds in which more news may come
OTHERS: Final = 0.25  # of the time that a look took is left to what it began
LONGEST: Final = 10.0  # seconds to the next look while the target or the tables are away
LEAVE: Final = 15.0  # seconds to finish what is in hand: a stop, and no pull of an image

NOTHING: Final = Waits()


class Scheduler:
    def __init__(
        self,
        database: Database,
        driver: Driver,
        *,
        target: str,
        options: Options | None = None,
        metrics: Metrics | None = None,
        vet: Vet | None = None,
        ask: Ask = ask,
        keys: Sequence[str] = (),
        outputs: Outputs | None = None,
        epoch: Epoch | None = None,
    ) -> None:
        """`keys` are those by which doormen prove themselves. `epoch` is that of whoever
        leads; without one nobody else acts for the target."""
        self.trouble: str | None = None  # why the last look failed
        self._options = options or Options()
        self._metrics = metrics or Metrics(Telemetry())
        self._driver = driver
        epoch = epoch or Epoch(target)
        self._store = Store(database, target, epoch, half_life=self._options.half_life)
        self._admission = Admission(
            database, self._store, epoch, self._metrics, self._options.queue
        )
        self._shipper = Shipper(database, driver)
        self._wake = asyncio.Event()
        self._statuses = Statuses(
            ask, changed=self._wake.set, keys=keys, patience=self._options.patience
        )
        self._performer = Performer(
            database,
            driver,
            self._store,
            self._shipper,
            self._statuses,
            options=self._options,
            vet=vet,
            outputs=outputs,
            epoch=epoch,
        )
        self._hands = Hands(self._wake.set, first=self._options.again_after)
        self._starts = asyncio.Semaphore(STARTS)
        self._stops = asyncio.Semaphore(STOPS)
        self._records = asyncio.Semaphore(RECORDS)
        self._keeps = asyncio.Semaphore(KEEPS)
        self._asks = asyncio.Semaphore(ASKS)
        self._nowhere: dict[Replica, float] = {}  # since when nothing of it takes requests

    async def on_event(self, _: Event) -> None:
        """Something happened: look soon. What it was, the tables say."""
        self._wake.set()

    async def act(self, stopping: asyncio.Event, *, every: float = 1.0) -> None:
        """Turn after turn until told to stop; then finish what is in hand, unless that takes long:
        who acts next begins it again, and nobody does before this returns."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._shipper.loop(stopping))
                group.create_task(self._turns(stopping, every))
                listening = group.create_task(self._listen())
                await stopping.wait()
                self._wake.set()
                listening.cancel()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE):
                    await self._hands.drain()
        finally:
            await self._hands.drop()
            await self._statuses.drop()

    async def turn(self) -> None:
        """Look once, and begin what has to be done."""
        busy = set(self._hands.busy)
        observed = await self._driver.observe()
        await self._admission.meet(reconcile.over(observed))
        with self._metrics.looking():
            snapshot = await self._store.snapshot()
        self._metrics.saw(snapshot)
        works, holders = snapshot.works, snapshot.holders
        used = await self._used(leftovers.unknown(observed, works, holders))
        admitted = await self._admit(snapshot, {*observed, *busy}, used)
        await self._tell(admitted, snapshot, observed)
        await self._store.count(reconcile.restarted(works, observed))
        self._statuses.watch(works)
        nowhere = self._ages(reconcile.unready(works, observed))
        late = leftovers.late(snapshot.held, used)
        for step in reconcile.reconcile(
            works, observed, holders, self._options.policy, nowhere, late
        ):
            if step.replica not in busy:
                self._begin(step)
        self._forget({*observed, *holders, *(work.replica for work in works)})

    async def settle(self) -> None:
        """Returns when everything that was begun has ended."""
        await self._hands.drain()

    async def _turns(self, stopping: asyncio.Event, every: float) -> None:
        away = every
        while not stopping.is_set():
            self._wake.clear()
            began = asyncio.get_running_loop().time()
            try:
                await self.turn()
                self.trouble, away = None, every
            except Transient as error:  # nothing was decided, and all stays as it is
                log.warning("will look again", exc_info=True)
                self.trouble = str(error)
                await pause(away, stopping)
                away = min(away * 2, max(every, LONGEST))
            took = asyncio.get_running_loop().time() - began
            await self._rest(stopping, every, took)

    async def _rest(self, stopping: asyncio.Event, every: float, took: float) -> None:
        """Until something happened, or for a while."""
        try:
            async with asyncio.timeout(every):
                await self._wake.wait()
        except TimeoutError:
            pass
        await pause(max(BUNCH, min(every, took * OTHERS)), stopping)

    async def _listen(self) -> None:
        while True:
            await self._driver.changed.wait()
            self._driver.changed.clear()
            self._wake.set()

    async def _used(self, unknown: Collection[Replica]) -> Collection[str]:
        """The devices that something unknown may be using at this moment."""
        return await self._driver.given(unknown) if unknown else ()

    async def _admit(
        self, snapshot: Snapshot, there: Collection[Replica], used: Collection[str]
    ) -> Admitted:
        admitted = await self._admission.admit(snapshot, there, used)
        for replica in admitted.started:
            self._begin(Start(replica=replica))
        if admitted.started or admitted.grown:
            self._wake.set()  # there may be more to place
        return admitted

    async def _tell(
        self, admitted: Admitted, snapshot: Snapshot, observed: Mapping[Replica, Observed]
    ) -> None:
        begun = told(snapshot.works, observed, admitted.reasons, self._statuses.unwell)
        lines = [
            Line(
                replica=each,
                reason=clean(why),
                waits=admitted.waits.get(each.job, NOTHING),
                queued=False,
            )
            for each, why in begun.items()
        ]
        await self._store.explain([*admitted.lines, *lines])

    def _ages(self, unready: Collection[Replica]) -> dict[Replica, float]:
        """For how many seconds each has been so."""
        now = asyncio.get_running_loop().time()
        self._nowhere = {replica: self._nowhere.get(replica, now) for replica in unready}
        return {replica: now - since for replica, since in self._nowhere.items()}

    def _forget(self, alive: Collection[Replica]) -> None:
        self._hands.forget(alive)
        self._performer.forget(alive)
        self._statuses.forget(alive)

    def _begin(self, step: Step) -> None:
        if step.replica in self._hands.busy:
            return
        name = type(step).__name__
        self._metrics.began(name)
        perform = partial(self._performer.perform, step)
        self._hands.begin(step.replica, name, perform, self._room(step))

    def _room(self, step: Step) -> asyncio.Semaphore:
        """What it shares with others of its kind. Models that don't answer hold up models alone."""
        match step:
            case Stop():
                return self._stops
            case RecordStarted(model=True):
                return self._asks
            case RecordStarted() | RecordMoved():
                return self._records
            case RecordEnded():
                return self._keeps
            case _:
                return self._starts
