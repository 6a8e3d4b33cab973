"""The scheduler: looks at the target and the tables, decides, and carries out what was decided.

One `turn` is one look. The driver is asked first and the tables are read after it; replicas that
something was being done with when the look began are left out, for both pictures of them may be
old. All else that happens meanwhile is either recorded by a guarded move, which then fails, or
seen at the next turn. So a turn may come late, twice, or in a new process after any crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from services.scheduler import reconcile
from services.scheduler.decide import Placement, decide
from services.scheduler.driver import Driver, Refused, Replica, Workload
from services.scheduler.hands import Hands
from services.scheduler.logs import Shipper, clean
from services.scheduler.metrics import Metrics
from services.scheduler.reconcile import (
    Policy,
    RecordFailed,
    RecordLost,
    RecordStarted,
    Start,
    Step,
    Stop,
)
from services.scheduler.store import Snapshot, Store
from services.scheduler.workload import workload
from shared.database import versions
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import Event, JobFailed, JobLost, JobPlaced, JobStarted, JobTerminated
from shared.lifecycle import State
from shared.run import pause
from shared.telemetry import Telemetry

log = logging.getLogger(__name__)

STARTS: Final = 8  # at once: each may unpack an image
STOPS: Final = 256  # at once: each mostly waits
QUOTED: Final = 5  # lines of the log in the reason of a failure
WHILE_STOPPING: Final = 0.2  # seconds between two looks at what a stopping replica prints


Vet = Callable[[Workload], Awaitable[str | None]]
"""Why a workload must not start, or None. Asked before every start."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    policy: Policy = Policy()
    stop_grace: float = 10.0  # seconds from SIGTERM to SIGKILL
    router_url: str = ""  # how people reach endpoints, for what is written into them
    again_after: float = 0.5  # seconds to the second try of what met trouble; doubles


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
    ) -> None:
        self.trouble: str | None = None  # why the last look failed
        self._options = options or Options()
        self._metrics = metrics or Metrics(Telemetry())
        self._database = database
        self._driver = driver
        self._vet = vet
        self._jobs = PostgresJobs(database)
        self._store = Store(database, target)
        self._shipper = Shipper(database, driver)
        self._wake = asyncio.Event()
        self._to_purge = False
        self._hands = Hands(self._wake.set, first=self._options.again_after)
        self._starts = asyncio.Semaphore(STARTS)
        self._stops = asyncio.Semaphore(STOPS)

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

    async def turn(self) -> None:
        """Look once, and begin what has to be done."""
        busy = set(self._hands.busy)
        observed = await self._driver.observe()
        snapshot = await self._store.snapshot()
        self._metrics.saw(snapshot)
        await self._admit(snapshot)
        await self._store.count(reconcile.restarted(snapshot.works, observed))
        for step in reconcile.reconcile(
            snapshot.works, observed, snapshot.holders, self._options.policy
        ):
            if step.replica not in busy:
                self._begin(step)
        wanted = {work.replica for work in snapshot.works}
        self._hands.forget({*observed, *snapshot.holders, *wanted})
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
        while not stopping.is_set():
            self._wake.clear()
            try:
                await self.turn()
                self.trouble = None
            except Transient as error:
                log.warning("will look again", exc_info=True)
                self.trouble = str(error)
                await pause(every, stopping)
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

    async def _admit(self, snapshot: Snapshot) -> None:
        decision = decide(snapshot.waiting, snapshot.slots)
        before = {waiting.job: waiting for waiting in snapshot.waiting}
        for placement in decision.placements:
            if await self._place(placement):
                self._metrics.admitted(before[placement.job].age)
        news = {job: why for job, why in decision.reasons.items() if why != before[job].reason}
        await self._store.explain(news)

    async def _place(self, placement: Placement) -> bool:
        fact = JobPlaced(job=placement.job, attempt=placement.attempt, gpus=placement.gpus)
        placed = await self._jobs.place(fact)
        if placed:
            self._begin(Start(replica=Replica(placement.job, placement.attempt)))
        return placed

    def _begin(self, step: Step) -> None:
        if step.replica in self._hands.busy:
            return
        at_once = self._stops if isinstance(step, Stop) else self._starts
        name = type(step).__name__
        self._metrics.began(name)
        self._hands.begin(step.replica, name, partial(self._perform, step), at_once)

    async def _perform(self, step: Step) -> None:
        match step:
            case Start(replica=replica):
                await self._start(replica)
            case Stop(replica=replica, drain=drain):
                await self._stop(replica, drain)
            case RecordStarted(replica=replica, addresses=addresses):
                await self._jobs.advance(
                    JobStarted(
                        job=replica.job,
                        attempt=replica.attempt,
                        address=addresses[0] if addresses else "",
                        addresses=addresses,
                    )
                )
            case RecordFailed(replica=replica, reason=reason, quote=quote):
                await self._fail(replica, reason, quote=quote)
            case RecordLost(replica=replica, reason=reason):
                await self._ship_all(replica)
                await self._jobs.advance(
                    JobLost(job=replica.job, attempt=replica.attempt, reason=clean(reason))
                )

    async def _start(self, replica: Replica) -> None:
        job = await self._jobs.get(replica.job)
        if job is None or job.state is not State.STARTING or job.attempt != replica.attempt:
            return
        version = await versions.get(self._database, job.version)
        devices = await self._store.devices(replica)
        work = version and workload(job, version, devices, self._options.router_url)
        if not work:
            await self._fail(replica, f"its version has no image of {job.endpoint}", quote=False)
            return
        fault = None if self._vet is None else await self._vet(work)
        if fault is not None:
            await self._fail(replica, fault, quote=False)
            return
        outcome = await self._driver.start(work)
        if isinstance(outcome, Refused):
            await self._fail(replica, outcome.reason, quote=False)

    async def _fail(self, replica: Replica, reason: str, *, quote: bool) -> None:
        await self._ship_all(replica)
        if quote:
            reason = reconcile.quoting(reason, await self._store.last_lines(replica, QUOTED))
        fact = JobFailed(job=replica.job, attempt=replica.attempt, reason=clean(reason))
        await self._jobs.advance(fact)

    async def _stop(self, replica: Replica, drain: float) -> None:
        await asyncio.sleep(drain)
        await self._ship_all(replica)
        ended = asyncio.Event()
        shipping = asyncio.create_task(self._ship_until(ended, replica))
        try:
            await self._driver.stop(replica, self._options.stop_grace)
        finally:
            ended.set()
            await shipping
        await self._store.ended(replica)
        self._shipper.forget(replica)

    async def _ship_until(self, ended: asyncio.Event, replica: Replica) -> None:
        """What it prints while it ends, before its files go."""
        while not ended.is_set():
            await self._ship_all(replica)
            await pause(WHILE_STOPPING, ended)

    async def _ship_all(self, replica: Replica) -> None:
        try:
            await self._shipper.finish(replica)
        except Transient:
            log.warning("%s: its last lines may be missing", replica, exc_info=True)
