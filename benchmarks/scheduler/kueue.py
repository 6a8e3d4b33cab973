"""The shape of Kueue's baseline performance test, replayed in simulated time.

Five cohorts of six queues, each with 20 units of its own and at most 100 more that others leave
unused; 15,000 jobs of three sizes and classes that arrive over a minute (the generator's
configuration under `test/performance/scheduler/configs/baseline` in Kueue's repository). Jobs of a
higher class make lower ones give way at once, who then begin anew.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

import msgspec

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import (
    Decision,
    Holder,
    Picture,
    Placement,
    Policy,
    Quota,
    Slot,
    Waiting,
)
from shared.ids import JobId

COHORTS: Final = 5
QUEUES: Final = 6  # of each cohort
NOMINAL: Final = 20
BORROW: Final = 100
HEADS: Final = 8  # of each queue's classes, that a picture shows: the others can't be next
AT_ONCE: Final = Policy(notice=0.0, kept=0.0)


class Kind(NamedTuple):
    number: int  # of each queue
    every: float  # seconds between two arrivals
    units: int
    runs: float  # seconds
    priority: int


KINDS: Final = (
    Kind(350, 0.1, 1, 0.2, 50),
    Kind(100, 0.5, 5, 0.5, 100),
    Kind(50, 1.2, 20, 1.0, 200),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    jobs: int
    makespan: float  # simulated seconds from the first arrival to the last end
    bound: float  # below which no scheduler can be
    wall: float  # seconds that the replay took
    decisions: list[float]  # seconds of each
    preempted: int


class Job(msgspec.Struct, kw_only=True):
    id: JobId
    owner: str
    kind: Kind
    arrives: float
    seq: int
    attempt: int = 1
    gpus: tuple[str, ...] = ()
    placed: float = 0.0


def bound(share: float = 1.0) -> float:
    """What a cohort has to do by all its units, or its last arrival and that job's run."""
    work = QUEUES * sum(kind.number * share * kind.units * kind.runs for kind in KINDS)
    last = max(kind.number * share * kind.every + kind.runs for kind in KINDS)
    return max(work / (QUEUES * NOMINAL), last)


def jobs(share: float = 1.0) -> list[Job]:
    """In the order of their arrival; `share` of the real number of each kind."""
    found: list[Job] = []
    for cohort in range(COHORTS):
        for queue in range(QUEUES):
            for kind in KINDS:
                found += [
                    Job(
                        id=JobId(f"j-{cohort}-{queue}-{kind.units}-{n}"),
                        owner=f"cohort-{cohort}-queue-{queue}",
                        kind=kind,
                        arrives=(n + 1) * kind.every,
                        seq=0,
                    )
                    for n in range(int(kind.number * share))
                ]
    found.sort(key=lambda job: (job.arrives, job.id))
    for seq, job in enumerate(found):
        job.seq = seq
    return found


class Replay:
    """One target of one type of unit, on which nothing takes time but the jobs themselves."""

    def __init__(self, given: list[Job]) -> None:
        self.now = 0.0
        self.decisions: list[float] = []
        self.preempted = 0
        self._numbers = count()
        self._jobs = {job.id: job for job in given}
        self._coming = [(job.arrives, next(self._numbers), job.id, 0) for job in given]
        heapq.heapify(self._coming)  # arrivals, and ends: these with their attempt
        self._waiting: dict[tuple[str, int], dict[JobId, Job]] = {}
        self._holding: dict[JobId, Job] = {}
        units = range(COHORTS * QUEUES * NOMINAL)
        self._held: dict[str, JobId | None] = {f"unit-{n}": None for n in units}
        self._quotas = [
            Quota(
                owner=f"cohort-{cohort}-queue-{queue}",
                gpu_type="unit",
                nominal=NOMINAL,
                borrow=BORROW,
                cohort=f"cohort-{cohort}",
            )
            for cohort in range(COHORTS)
            for queue in range(QUEUES)
        ]

    def run(self) -> None:
        while self._coming:
            self.now = self._coming[0][0]
            while self._coming and self._coming[0][0] <= self.now + 1e-9:
                _, _, job, attempt = heapq.heappop(self._coming)
                self._happen(self._jobs[job], attempt)
            while self._carry_out(self._decide()):
                pass

    def _happen(self, job: Job, attempt: int) -> None:
        if attempt == 0:
            self._queue(job)
        elif job.attempt == attempt and job.id in self._holding:
            self._free(job)

    def _queue(self, job: Job) -> None:
        line = self._waiting.setdefault((job.owner, job.kind.priority), {})
        line[job.id] = job

    def _free(self, job: Job) -> None:
        del self._holding[job.id]
        for gpu in job.gpus:
            self._held[gpu] = None

    def _decide(self) -> Decision:
        picture = Picture(
            waiting=list(self._heads()),
            slots=[Slot(gpu=gpu, type="unit", job=job) for gpu, job in self._held.items()],
            holders={
                job.id: Holder(
                    job=job.id,
                    attempt=job.attempt,
                    owner=job.owner,
                    priority=job.kind.priority,
                    preemptible=True,
                    age=self.now - job.placed,
                )
                for job in self._holding.values()
            },
            quotas=self._quotas,
        )
        began = time.perf_counter()
        decision = decide(picture, AT_ONCE)
        self.decisions.append(time.perf_counter() - began)
        return decision

    def _heads(self) -> Iterator[Waiting]:
        for line in self._waiting.values():
            # what gave way stands where it stood before
            for job in heapq.nsmallest(HEADS, line.values(), key=lambda each: each.seq):
                yield Waiting(
                    job=job.id,
                    attempt=job.attempt,
                    owner=job.owner,
                    priority=job.kind.priority,
                    count=job.kind.units,
                    preemptible=True,
                    age=self.now - job.arrives,
                    seq=job.seq,
                )

    def _carry_out(self, decision: Decision) -> bool:
        """Whether there may be more to decide at this moment."""
        for placement in decision.placements:
            self._place(placement)
        for yielding in decision.yielding:
            job = self._jobs[yielding.job]
            self._free(job)
            job.attempt += 1
            self.preempted += 1
            self._queue(job)
        return bool(decision.placements or decision.yielding)

    def _place(self, placement: Placement) -> None:
        job = self._jobs[placement.job]
        del self._waiting[job.owner, job.kind.priority][job.id]
        job.gpus, job.placed = placement.gpus, self.now
        self._holding[job.id] = job
        for gpu in placement.gpus:
            assert self._held[gpu] is None
            self._held[gpu] = job.id
        end = (self.now + job.kind.runs, next(self._numbers), job.id, job.attempt)
        heapq.heappush(self._coming, end)


def replay(share: float = 1.0) -> Outcome:
    given = jobs(share)
    began, run = time.perf_counter(), Replay(given)
    run.run()
    return Outcome(
        jobs=len(given),
        makespan=run.now,
        bound=bound(share),
        wall=time.perf_counter() - began,
        decisions=run.decisions,
        preempted=run.preempted,
    )
