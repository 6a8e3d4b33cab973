"""Carries out one step for one replica: looks again whether it is wanted, does it, and records it.

Every step may be carried out twice or too late: what it records is guarded by the job's state and
attempt, and what it tells the driver may be told twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from math import inf
from typing import Final

import msgspec

from services.scheduler import reconcile
from services.scheduler.driver import Driver, Ended, Phase, Refused, Replica, Workload
from services.scheduler.epoch import Epoch
from services.scheduler.hands import Later
from services.scheduler.logs import Shipper, clean
from services.scheduler.outputs import Outputs
from services.scheduler.owners import HALF_LIFE
from services.scheduler.queue import values
from services.scheduler.reconcile import (
    Adjust,
    Policy,
    RecordEnded,
    RecordFailed,
    RecordLost,
    RecordMoved,
    RecordStarted,
    Release,
    Start,
    Step,
    Stop,
)
from services.scheduler.runs import Runs
from services.scheduler.status import Patience, Statuses
from services.scheduler.store import Store
from services.scheduler.workload import workload
from shared.database import versions
from shared.database.jobs import Job, PostgresJobs
from shared.database.pool import Database
from shared.errors import Transient
from shared.events import JobFailed, JobLost, JobMoved, JobRepaired, JobStarted
from shared.lifecycle import State
from shared.run import pause

log = logging.getLogger(__name__)

QUOTED: Final = 5  # lines of the log in the reason of a failure
TIMEOUT: Final = "Ping timeout exceeded. Info:"  # as Hydrosphere's users know it
WHILE_STOPPING: Final = 0.2  # seconds between two looks at what a stopping replica prints

Vet = Callable[[Workload], Awaitable[str | None]]
"""Why a workload must not start, or None. Asked before every start."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    policy: Policy = Policy()
    queue: values.Policy = values.Policy()
    half_life: float = HALF_LIFE  # seconds after which what an owner had counts for half
    stop_grace: float = 10.0  # seconds from SIGTERM to SIGKILL
    router_url: str = ""  # how people reach endpoints, for what is written into them
    again_after: float = 0.5  # seconds to the second try of what met trouble; doubles
    patience: Patience = Patience()
    repair_every: float = 10.0  # seconds between two repairs of one replica: others may fight us


class Performer:
    def __init__(
        self,
        database: Database,
        driver: Driver,
        store: Store,
        shipper: Shipper,
        statuses: Statuses,
        *,
        options: Options,
        vet: Vet | None,
        outputs: Outputs | None = None,
        epoch: Epoch | None = None,
    ) -> None:
        self._options = options
        self._database = database
        self._driver = driver
        self._vet = vet
        epoch = epoch or Epoch(store.target)
        self._jobs = PostgresJobs(database, epoch)
        self._store = store
        self._shipper = shipper
        self._statuses = statuses
        self._runs = Runs(database, driver, outputs, epoch)
        self._repaired: dict[Replica, float] = {}  # when

    def forget(self, alive: Collection[Replica]) -> None:
        for gone in self._repaired.keys() - alive:
            del self._repaired[gone]

    async def perform(self, step: Step) -> None:
        match step:
            case Start(replica=replica):
                await self._start(replica)
            case Stop(replica=replica, drain=drain):
                await self._stop(replica, drain)
            case RecordStarted():
                await self._started(step)
            case RecordMoved(replica=replica, addresses=addresses):
                await self._jobs.moved(
                    JobMoved(job=replica.job, attempt=replica.attempt, addresses=addresses)
                )
            case Adjust(replica=replica, drift=drift):
                await self._adjust(replica, drift)
            case Release(replica=replica, granted=granted, grants=grants):
                await self._release(replica, granted, grants)
            case RecordFailed(replica=replica, reason=reason, quote=quote):
                await self._fail(replica, reason, quote=quote)
            case RecordLost(replica=replica, reason=reason):
                await self._lose(replica, reason)
            case RecordEnded(replica=replica):
                await self._ship_all(replica)
                lines = await self._store.last_lines(replica, QUOTED) if step.reason else ()
                await self._runs.ended(step, lines)

    async def _start(self, replica: Replica) -> None:
        job = await self._wanted(replica, State.STARTING)
        try:
            refused = job and await self._run(job)
        except Ended:  # by one that is closed by now, or by one that acts where we do no more
            fact = JobLost(job=replica.job, attempt=replica.attempt, reason="it was ended")
            await self._jobs.advance(fact)
            return
        if refused:
            await self._fail(replica, refused, quote=False)

    async def _started(self, step: RecordStarted) -> None:
        replica, addresses = step.replica, step.addresses
        why = await self._statuses.why_not(replica, addresses) if step.model else ""
        if not why:
            fact = JobStarted(
                job=replica.job,
                attempt=replica.attempt,
                address=addresses[0] if addresses else "",
                addresses=addresses,
            )
            await self._jobs.advance(fact)
        elif self._statuses.waited(replica) >= self._statuses.patience.deadline:
            await self._fail(replica, f"{TIMEOUT} {why}", quote=True)
        else:
            raise Later(why, self._statuses.patience.again)

    async def _adjust(self, replica: Replica, drift: str) -> None:
        job = await self._wanted(replica, State.STARTING, State.RUNNING)
        if job is None:
            return
        now = asyncio.get_running_loop().time()
        if drift and now - self._repaired.get(replica, -inf) < self._options.repair_every:
            return  # at a later turn
        refused = await self._run(job)
        if refused:  # what runs is left as it is
            raise Transient(refused)
        if drift:
            self._repaired[replica] = now
            await self._jobs.tell(
                JobRepaired(job=replica.job, attempt=replica.attempt, what=clean(drift))
            )

    async def _release(self, replica: Replica, granted: int, grants: int) -> None:
        """What `observe` said may be old, and GPUs are not freed by what was."""
        now = await self._driver.look(replica)
        if now is not None and now.wanted in (None, granted) and now.copies <= granted:
            await self._jobs.shrink(replica.job, replica.attempt, granted, grants)

    async def _lose(self, replica: Replica, reason: str) -> None:
        """What `observe` did not see may have come since: another scheduler's last start."""
        now = await self._driver.look(replica)
        if now is not None and now.phase is not Phase.GONE:
            raise Transient("it is there after all")
        await self._ship_all(replica)
        fact = JobLost(job=replica.job, attempt=replica.attempt, reason=clean(reason))
        await self._jobs.advance(fact)

    async def _wanted(self, replica: Replica, *states: State) -> Job | None:
        job = await self._jobs.get(replica.job)
        return job if job and job.attempt == replica.attempt and job.state in states else None

    async def _run(self, job: Job) -> str | None:
        """Tell the target to run it as the tables say now; why that can never be, or None."""
        version = await versions.get(self._database, job.version)
        devices = await self._store.devices(Replica(job.id, job.attempt), job.granted)
        work = version and workload(job, version, devices, self._options.router_url)
        if not work:
            return f"its version has no image of {job.endpoint}"
        fault = None if self._vet is None else await self._vet(work)
        if fault is not None:
            return fault
        outcome = await self._driver.start(work)
        return outcome.reason if isinstance(outcome, Refused) else None

    async def _fail(self, replica: Replica, reason: str, *, quote: bool) -> None:
        await self._ship_all(replica)
        if quote:
            reason = reconcile.quoting(reason, await self._store.last_lines(replica, QUOTED))
        fact = JobFailed(job=replica.job, attempt=replica.attempt, reason=clean(reason))
        await self._jobs.advance(fact)

    async def _stop(self, replica: Replica, drain: float) -> None:
        job = await self._jobs.get(replica.job)
        if job is not None and job.target != self._store.target:
            # two targets in one place: neither may take the other's for what is left over
            raise Transient(f"it is of target {job.target}, and not ours to end")
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
