"""As time goes by: nobody starves, whatever arrives."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Holder, Picture, Policy, Slot, Waiting
from shared.ids import JobId

replace = msgspec.structs.replace
TICK = 10.0
BIG = JobId("big")
seeds = st.integers(0, (1 << 32) - 1)


class World:
    """One type of GPU on two machines. Jobs end no later than they have to."""

    def __init__(self, random: Random, *, known: bool) -> None:
        self.random = random
        self.known = known
        self.slots = [
            Slot(gpu=f"{node}{n}", type="rtx", node=node, job=JobId(f"{node}-{n // 2}"))
            for node in "ab"
            for n in range(4)
        ]
        self.holders = {slot.job: self._holder(slot.job) for slot in self.slots if slot.job}
        self.waiting: list[Waiting] = []
        self.started: list[JobId] = []
        self.number = 0

    def ask(self, count: int, *, name: str = "", lasts: float | None = None) -> None:
        self.number += 1
        self.waiting.append(
            Waiting(
                job=JobId(name or f"s{self.number}"),
                attempt=1,
                count=count,
                types=("rtx",),
                run_at_most=lasts,
                seq=self.number,
            )
        )

    def some_ask(self) -> None:
        for _ in range(self.random.randrange(4)):
            lasts = self.random.choice((5.0, 20.0, 40.0, 90.0))
            self.ask(self.random.choice((1, 1, 2)), lasts=lasts if self.known else None)

    def decide(self, policy: Policy) -> float | None:
        """Begin what may begin; when the big one starts at the latest, from now."""
        picture = Picture(waiting=self.waiting, slots=self.slots, holders=self.holders)
        decision = decide(picture, policy)
        of = {gpu: placement.job for placement in decision.placements for gpu in placement.gpus}
        jobs = {job.job: job for job in self.waiting}
        for placement in decision.placements:
            self.started.append(placement.job)
            lasts = jobs[placement.job].run_at_most
            self.holders[placement.job] = Holder(job=placement.job, attempt=1, ends_in=lasts)
        self.slots = [replace(s, job=of.get(s.gpu, s.job)) for s in self.slots]
        self.waiting = [job for job in self.waiting if job.job not in self.started]
        told = decision.waits.get(BIG)
        return told.starts_in if told is not None else None

    def pass_time(self) -> None:
        self.waiting = [replace(job, age=job.age + TICK) for job in self.waiting]
        left = {}
        for job, holder in self.holders.items():
            ends_in = None if holder.ends_in is None else holder.ends_in - TICK
            over = ends_in is not None and ends_in <= 0
            if not over and self.random.random() > 0.05:  # now and then one ends early
                left[job] = replace(holder, age=holder.age + TICK, ends_in=ends_in)
        self.holders = left
        self.slots = [replace(s, job=s.job if s.job in left else None) for s in self.slots]

    def _holder(self, job: JobId) -> Holder:
        ends_in = self.random.choice((20.0, 50.0, 130.0)) if self.known else None
        return Holder(job=job, attempt=1, ends_in=ends_in, age=1000.0)


@given(seeds, st.sampled_from((0.0, 25.0)))
@settings(max_examples=60, deadline=None)
def test_a_big_job_starts_by_its_reserved_start_whatever_small_ones_arrive(seed, slack):
    world = World(Random(seed), known=True)
    world.ask(4, name=BIG, lasts=60.0)
    bound = world.decide(Policy(slack=slack))
    now = 0.0
    while BIG not in world.started:
        assert bound is not None
        world.some_ask()
        world.decide(Policy(slack=slack))
        world.pass_time()
        now += TICK
        told = world.decide(Policy(slack=slack))
        assert BIG in world.started or (told is not None and now + told <= bound + slack)
    assert now <= bound + slack + TICK


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_without_known_ends_nobody_who_came_later_takes_what_a_big_job_waits_for(seed):
    world = World(Random(seed), known=False)
    world.ask(4, name=BIG)
    world.decide(Policy())
    for _ in range(400):
        if BIG in world.started:
            return
        assert world.started == []
        world.some_ask()
        world.decide(Policy())
        world.pass_time()
    raise AssertionError("it starved")
