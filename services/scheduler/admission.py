"""Carries out what the queue decided: who starts, who grows, who is warned, and why others wait.

All placements of one decision are one statement. What another did meanwhile makes that statement
pass the job over, and the next look decides anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from time import perf_counter

import msgspec

from services.scheduler import leftovers
from services.scheduler.deadlines import Deadlines
from services.scheduler.depth import in_turn
from services.scheduler.driver import Replica
from services.scheduler.epoch import Epoch
from services.scheduler.metrics import Metrics
from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Placement, Policy, Waiting
from services.scheduler.store import Snapshot, Store
from services.scheduler.told import Line, Told, changes
from shared.database.jobs import PostgresJobs
from shared.database.pool import Database
from shared.events import JobPlaced, JobScaled
from shared.ids import JobId
from shared.waits import Waits


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    started: list[Replica]  # that have their place now
    grown: int  # jobs that may run more copies now
    lines: list[Line]  # to be written down of those in the queue
    reasons: dict[JobId, str]  # of all that go on waiting, those that run some copies among them
    waits: dict[JobId, Waits]


class Admission:
    def __init__(
        self, database: Database, store: Store, epoch: Epoch, metrics: Metrics, policy: Policy
    ) -> None:
        self._jobs = PostgresJobs(database, epoch)
        self._store = store
        self._deadlines = Deadlines(database, epoch)
        self._metrics = metrics
        self._policy = policy
        self._told = Told()

    async def meet(self, over: Collection[Replica]) -> None:
        """Do what is due whoever waits, but for those that have ended by themselves."""
        done = await self._deadlines.meet(over)
        self._metrics.preempted(done["give way"])

    async def admit(
        self, snapshot: Snapshot, there: Collection[Replica] = (), used: Collection[str] = ()
    ) -> Admitted:
        """`there` is what exists on the target, and `used` are the devices of what should not."""
        began = perf_counter()
        decision = decide(leftovers.kept(snapshot.picture, used), self._policy)
        self._metrics.decided(perf_counter() - began)
        self._store.decided(snapshot, decision)
        before = {waiting.job: waiting for waiting in snapshot.picture.waiting}
        decided = in_turn(decision.placements, before, snapshot.heads)
        placements, left = leftovers.apart(decided, there)
        started = await self._place(placements)
        for replica in started:
            self._metrics.admitted(before[replica.job].age)
        grown = [await self._grow(each) for each in placements if each.granted]
        await self._deadlines.let_off(decision.let_off)
        await self._deadlines.warn(decision.yielding, self._policy.notice)
        return Admitted(
            started=started,
            grown=sum(grown),
            lines=[*self._told.lines(before, decision), *_waiting(before, left)],
            reasons=decision.reasons,
            waits=decision.waits,
        )

    async def _place(self, placements: Sequence[Placement]) -> list[Replica]:
        facts = [
            JobPlaced(job=each.job, attempt=each.attempt, gpus=each.gpus, copies=each.copies)
            for each in placements
            if not each.granted
        ]
        placed = await self._jobs.place_all(facts)
        return [Replica(fact.job, fact.attempt) for fact in facts if fact.job in placed]

    async def _grow(self, placement: Placement) -> bool:
        fact = JobScaled(job=placement.job, attempt=placement.attempt, copies=placement.copies)
        return await self._jobs.grow(fact, placement.granted, placement.gpus)


def _waiting(before: Mapping[JobId, Waiting], left: Sequence[Placement]) -> Iterator[Line]:
    for each in left:
        line = changes(before[each.job], leftovers.LEFT, before[each.job].waits)
        if line is not None:
            yield line
