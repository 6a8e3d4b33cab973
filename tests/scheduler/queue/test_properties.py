"""What holds of any queue on any target."""

from __future__ import annotations

from collections import Counter
from math import inf

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Policy
from tests.scheduler.queue.after import started, warned
from tests.scheduler.queue.random import pictures

replace = msgspec.structs.replace
often = settings(max_examples=60, deadline=None)


@given(pictures)
@often
def test_no_gpu_is_given_twice_and_none_that_is_held(picture):
    given_away = Counter(gpu for p in decide(picture).placements for gpu in p.gpus)
    free = {slot.gpu for slot in picture.slots if slot.free}
    assert set(given_away) <= free
    assert all(number == 1 for number in given_away.values())


@given(pictures)
@often
def test_each_has_what_it_asked_for(picture):
    by_id = {slot.gpu: slot for slot in picture.slots}
    jobs = {job.job: job for job in picture.waiting}
    decision = decide(picture)
    assert len({p.job for p in decision.placements}) == len(decision.placements)
    for placement in decision.placements:
        job = jobs[placement.job]
        gpus = [by_id[gpu] for gpu in placement.gpus]
        assert 1 <= placement.copies <= job.copies
        assert placement.copies == job.copies or not job.gang, "a gang starts whole"
        assert len(gpus) == job.count * placement.copies
        assert len({gpu.type for gpu in gpus}) <= 1, "all copies have one type"
        for copy in range(placement.copies):
            of_copy = gpus[copy * job.count : (copy + 1) * job.count]
            assert len({gpu.node for gpu in of_copy}) <= 1, "each copy is on one machine"
        assert all(not job.types or gpu.type in job.types for gpu in gpus)
        assert all(job.max_price is None or gpu.price <= job.max_price for gpu in gpus)


@given(pictures)
@often
def test_nobody_gets_more_than_its_quota(picture):
    whole = [replace(job, gang=True) for job in picture.waiting]  # each is given its GPUs at once
    picture = replace(picture, waiting=whole)
    decision = decide(picture)
    after = started(picture, decision)
    owner_of = {job: holder.owner for job, holder in after.holders.items()}
    rows = {(quota.owner, quota.gpu_type): quota for quota in picture.quotas}

    def used(slots):
        found = Counter()
        for slot in slots:
            owner = owner_of.get(slot.job)
            row = rows.get((owner, slot.type)) or rows.get((owner, "*"))
            if row is not None:
                found[row.owner, row.gpu_type] += 1
        return found

    there = [*picture.slots]
    now = used(there)
    for placement in decision.placements:
        before = now
        there = [
            replace(slot, job=placement.job) if slot.gpu in placement.gpus else slot
            for slot in there
        ]
        now = used(there)
        for key in now - before:
            quota = rows[key]
            if now[key] <= quota.nominal:
                continue  # that is its own
            assert now[key] <= quota.nominal + (inf if quota.borrow is None else quota.borrow)
            cohort = [k for k, q in rows.items() if (q.cohort, k[1]) == (quota.cohort, key[1])]
            lent = sum(rows[k].nominal for k in cohort)
            assert sum(now[k] for k in cohort) <= lent, "nothing was left to lend"
    assert {slot.gpu: slot.job for slot in there} == {s.gpu: s.job for s in after.slots}


@given(pictures)
@often
def test_what_the_first_in_line_could_use_is_not_left_unused(picture):
    picture = replace(picture, quotas=[])
    decision = decide(picture)
    taken = {gpu for placement in decision.placements for gpu in placement.gpus}
    free = [slot for slot in picture.slots if slot.free and slot.gpu not in taken]
    for job in picture.waiting:
        told = decision.waits.get(job.job)
        if told is None or told.ahead or told.cause in ("budget", "never", "price"):
            continue
        for kind in {slot.type for slot in free if not job.types or slot.type in job.types}:
            rooms = Counter(
                slot.node
                for slot in free
                if slot.type == kind and (job.max_price is None or slot.price <= job.max_price)
            )
            copies = sum(number // job.count for number in rooms.values())
            assert copies < (job.copies if job.gang else 1)


@given(pictures)
@often
def test_every_job_is_placed_or_told_why_not(picture):
    decision = decide(picture)
    placed = {p.job for p in decision.placements}
    assert placed | set(decision.reasons) == {job.job for job in picture.waiting}
    assert placed.isdisjoint(decision.reasons)
    assert set(decision.waits) == set(decision.reasons)
    assert all(waits.cause is not None for waits in decision.waits.values())
    assert all(decision.reasons.values())


@given(pictures, st.randoms(use_true_random=False))
@often
def test_the_same_picture_gives_the_same_decision_in_whatever_order_it_is_told(picture, random):
    decision = decide(picture)
    assert decide(picture) == decision
    waiting, there, quotas = [*picture.waiting], [*picture.slots], [*picture.quotas]
    for rows in (waiting, there, quotas):
        random.shuffle(rows)
    other = decide(replace(picture, waiting=waiting, slots=there, quotas=quotas))
    assert {p.job: p for p in other.placements} == {p.job: p for p in decision.placements}
    assert other.reasons == decision.reasons
    assert other.waits == decision.waits
    assert {y.job: y for y in other.yielding} == {y.job: y for y in decision.yielding}


@given(pictures)
@often
def test_once_all_that_may_start_has_started_nothing_more_does(picture):
    decision = decide(picture)
    again = decide(started(picture, decision))
    assert again.placements == []


@given(pictures)
@often
def test_what_was_told_stays_true_while_nothing_changes(picture):
    nobody = {job: replace(each, gives_way_in=None) for job, each in picture.holders.items()}
    picture = replace(picture, holders=nobody)
    decision = decide(picture)
    again = decide(warned(started(picture, decision), decision, Policy()))
    assert (again.placements, again.yielding, again.let_off) == ([], [], [])


@given(pictures)
@often
def test_it_comes_to_rest_whoever_was_warned_before(picture):
    for _ in range(len(picture.holders) + 2):
        decision = decide(picture)
        if not (decision.placements or decision.yielding or decision.let_off):
            return
        picture = warned(started(picture, decision), decision, Policy())
    raise AssertionError("it goes on and on")
