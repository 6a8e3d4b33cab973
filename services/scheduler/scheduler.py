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
from functools import partial
from typing import Final

from services.scheduler import reconcile
from services.scheduler.decide import Placement, decide
from services.scheduler.driver import Driver, Observed, Replica
from services.scheduler.hands import Hands
from services.scheduler.logs import Shipper, clean
from services.scheduler.metrics import Metrics
from services.scheduler.outputs import Outputs
from services.scheduler.performer import Options, Performer, Vet
from services.scheduler.reconcile import RecordStarted, Start, Step, Stop
from services.scheduler.status import ASKS, Ask, Statuses
from services.scheduler.store import Snapshot, Store
from services.scheduler.why import told
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import Event, JobPlaced, JobScaled, JobTerminated
from shared.ids import JobId
from shared.run import pause
from shared.telemetry import Telemetry
from shared.unary.status import ask

log = logging.getLogger(__name__)

STARTS: Final = 8  # at once: each may unpack an image
STOPS: Final = 256  # at once: each mostly waits
LONGEST: Final = 10.0  # seconds to the next look while the target or the tables are away


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
    ) -> None:
        """`keys` are those by which doormen prove themselves."""
        self.trouble: str | None = None  # why the last look failed
        self._options = options or Options()
        self._metrics = metrics or Metrics(Telemetry())
        self._driver = driver
        self._jobs = PostgresJobs(database)
        self._store = Store(database, target)
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
        )
        self._to_purge = False
        self._hands = Hands(self._wake.set, first=self._options.again_after)
        self._starts = asyncio.Semaphore(STARTS)
        self._stops = asyncio.Semaphore(STOPS)
        self._asks = asyncio.Semaphore(ASKS)
        self._nowhere: dict[Replica, float] = {}  # since when nothing of it takes requests

    async def on_event(self, event: Event) -> None:
        """Something happened: look soon. What it was, the tables say."""
        self._to_purge |= event.type == JobTerminated.type
        self._wake.set()

    async def act(self, stopping: asyncio.Event, *, every: float = 1.0) -> None:
        """Turn after turn until told to stop; then finish what is in hand."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._shipper.loop(stopping))
                group.create_task(self._turns(stopping, every))
                listening = group.create_task(self._listen())
                await stopping.wait()
                self._wake.set()
                listening.cancel()
            await self._hands.drain()
        finally:
            await self._hands.drop()
            await self._statuses.drop()

    async def turn(self) -> None:
        """Look once, and begin what has to be done."""
        busy = set(self._hands.busy)
        observed = await self._driver.observe()
        snapshot = await self._store.snapshot()
        self._metrics.saw(snapshot)
        works = snapshot.works
        waits = await self._admit(snapshot)
        await self._tell(waits, snapshot, observed)
        await self._store.count(reconcile.restarted(works, observed))
        self._statuses.watch(works)
        nowhere = self._ages(reconcile.unready(works, observed))
        for step in reconcile.reconcile(
            works, observed, snapshot.holders, self._options.policy, nowhere
        ):
            if step.replica not in busy:
                self._begin(step)
        self._forget({*observed, *snapshot.holders, *(work.replica for work in works)})
        if self._to_purge:
            await self.purge()

    async def settle(self) -> None:
        """Returns when everything that was begun has ended."""
        await self._hands.drain()

    async def purge(self) -> None:
        """Forget what is kept of terminated jobs."""
        self._to_purge = False
        await self._store.purge_logs()

    async def _turns(self, stopping: asyncio.Event, every: float) -> None:
        away = every
        while not stopping.is_set():
            self._wake.clear()
            try:
                await self.turn()
                self.trouble, away = None, every
            except Transient as error:  # nothing was decided, and all stays as it is
                log.warning("will look again", exc_info=True)
                self.trouble = str(error)
                await pause(away, stopping)
                away = min(away * 2, max(every, LONGEST))
            await self._rest(stopping, every)

    async def _rest(self, stopping: asyncio.Event, every: float) -> None:
        """Until something happened, or for a while."""
        try:
            async with asyncio.timeout(every):
                await self._wake.wait()
        except TimeoutError:
            pass
        await pause(0.01, stopping)  # news comes in bunches

    async def _listen(self) -> None:
        while True:
            await self._driver.changed.wait()
            self._driver.changed.clear()
            self._wake.set()

    async def _admit(self, snapshot: Snapshot) -> dict[JobId, str]:
        """Let start and grow what can; why the others wait."""
        decision = decide(snapshot.waiting, snapshot.slots)
        before = {waiting.job: waiting for waiting in snapshot.waiting}
        for placement in decision.placements:
            if placement.granted:
                await self._grow(placement)
            elif await self._place(placement):
                self._metrics.admitted(before[placement.job].age)
        return decision.reasons

    async def _tell(
        self,
        waits: Mapping[JobId, str],
        snapshot: Snapshot,
        observed: Mapping[Replica, Observed],
    ) -> None:
        queued = {
            Replica(job.job, job.attempt): waits[job.job]
            for job in snapshot.waiting
            if job.granted == 0 and waits.get(job.job, job.reason) != job.reason
        }
        begun = told(snapshot.works, observed, waits, self._statuses.unwell)
        await self._store.explain(queued, {each: clean(why) for each, why in begun.items()})

    def _ages(self, unready: Collection[Replica]) -> dict[Replica, float]:
        """For how many seconds each has been so."""
        now = asyncio.get_running_loop().time()
        self._nowhere = {replica: self._nowhere.get(replica, now) for replica in unready}
        return {replica: now - since for replica, since in self._nowhere.items()}

    def _forget(self, alive: Collection[Replica]) -> None:
        self._hands.forget(alive)
        self._performer.forget(alive)
        self._statuses.forget(alive)

    async def _grow(self, placement: Placement) -> None:
        fact = JobScaled(job=placement.job, attempt=placement.attempt, copies=placement.copies)
        if await self._jobs.grow(fact, placement.granted, placement.gpus):
            self._wake.set()

    async def _place(self, placement: Placement) -> bool:
        fact = JobPlaced(
            job=placement.job,
            attempt=placement.attempt,
            gpus=placement.gpus,
            copies=placement.copies,
        )
        placed = await self._jobs.place(fact)
        if placed:
            self._begin(Start(replica=Replica(placement.job, placement.attempt)))
        return placed

    def _begin(self, step: Step) -> None:
        if step.replica in self._hands.busy:
            return
        name = type(step).__name__
        self._metrics.began(name)
        perform = partial(self._performer.perform, step)
        self._hands.begin(step.replica, name, perform, self._room(step))

    def _room(self, step: Step) -> asyncio.Semaphore:
        """What it shares with others of its kind. Models that don't answer hold up models alone."""
        if isinstance(step, Stop):
            return self._stops
        return self._asks if isinstance(step, RecordStarted) and step.model else self._starts
