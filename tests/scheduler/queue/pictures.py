"""Queues and targets for the tests of the decision, written short."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Holder, Owner, Picture, Policy, Quota, Slot, Waiting
from shared.ids import JobId

USUAL = Policy()


def job(name, count=0, *types, **more):
    """Of several, the one that is listed first has asked first, unless `age` or `seq` say so."""
    return Waiting(job=JobId(name), attempt=1, count=count, types=types, **more)


def machines(kind="rtx", prices=None, **nodes):
    """`a="ff-"`: a machine with two free and one held; a letter that is not f names a holder."""
    return [
        Slot(
            gpu=f"{node}{n}",
            type=kind,
            node=node,
            price=(prices or {}).get(kind, 0.0),
            job=None if mark == "f" else JobId(mark),
        )
        for node, marks in nodes.items()
        for n, mark in enumerate(marks)
    ]


def slots(prices=(), **counts):
    """`rtx="ff-"`: two free and one held, all on one machine."""
    return [
        Slot(
            gpu=f"{kind}-{n}",
            type=kind,
            price=dict(prices).get(kind, 0.0),
            job=None if mark == "f" else JobId(mark),
        )
        for kind, marks in counts.items()
        for n, mark in enumerate(marks)
    ]


def holder(name, **more):
    return Holder(**{"job": JobId(name), "attempt": 1, "age": 1000.0, **more})


def quota(owner, nominal, borrow=None, kind="rtx", cohort="us"):
    return Quota(owner=owner, gpu_type=kind, nominal=nominal, borrow=borrow, cohort=cohort)


def picture(
    waiting: Iterable[Waiting],
    there: Iterable[Slot] = (),
    *holders: Holder,
    quotas: Iterable[Quota] = (),
    owners: Iterable[Owner] = (),
):
    in_turn = [
        each if each.seq else msgspec.structs.replace(each, seq=n)
        for n, each in enumerate(waiting, 1)
    ]
    return Picture(
        waiting=in_turn,
        slots=list(there),
        holders={each.job: each for each in holders},
        quotas=list(quotas),
        owners={each.owner: each for each in owners},
    )


def placed(*args, policy=USUAL, **more):
    """The GPUs of each that starts or grows."""
    decision = decide(picture(*args, **more), policy)
    return {placement.job: list(placement.gpus) for placement in decision.placements}


def reasons(*args, policy=USUAL, **more):
    return decide(picture(*args, **more), policy).reasons


def waits(*args, policy=USUAL, **more):
    return decide(picture(*args, **more), policy).waits
