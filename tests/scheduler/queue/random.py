"""Queues and targets at random, for what must hold of any of them.

Each is made from a seed: whole queues drawn piece by piece are mostly empty ones.
"""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from services.scheduler.queue.values import Holder, Owner, Picture, Quota, Slot, Waiting
from shared.ids import JobId

TYPES = ("rtx", "a100")
OWNERS = ("ann", "bob", "cid")
CLASSES = (-100, 0, 100)
TIMES = (10.0, 30.0, 100.0, 600.0)


def picture_of(seed: int) -> Picture:
    random = Random(seed)
    there = slots(random)
    names = sorted({slot.job for slot in there if slot.job is not None})
    known = random.random()  # how much is known of ends
    return Picture(
        waiting=[job(random, number, known) for number in range(random.randrange(9))],
        slots=there,
        holders={JobId(name): holder(random, name, known) for name in names},
        quotas=quotas(random) if random.random() < 0.5 else [],
        owners={
            name: Owner(
                owner=name,
                weight=random.choice((1.0, 3.0)),
                used={"rtx": random.choice((0.0, 2.5))},
                spent=random.random() < 0.05,
            )
            for name in OWNERS
            if random.random() < 0.5
        },
    )


pictures = st.integers(0, (1 << 32) - 1).map(picture_of)


def slots(random: Random) -> list[Slot]:
    """GPUs on a few machines; of one holder all are of one type. Prices differ now and then."""
    held, mixed = random.random(), random.random() < 0.2
    found = []
    for number in range(random.randrange(16)):
        kind = random.choice(TYPES[: 1 + (number % 3 == 0)])
        found.append(
            Slot(
                gpu=f"g{number}",
                type=kind,
                node=random.choice("mmno"),
                price=random.choice((1.0, 2.0)) if mixed else float(1 + TYPES.index(kind)),
                job=JobId(f"{kind}-{random.randrange(5)}") if random.random() < held else None,
            )
        )
    return found


def holder(random: Random, name: str, known: float) -> Holder:
    return Holder(
        job=JobId(name),
        attempt=1,
        owner=random.choice(OWNERS),
        priority=random.choice(CLASSES),
        preemptible=random.random() < 0.6,
        age=random.choice((5.0, 500.0, 900.0)),
        ends_in=random.choice(TIMES) if random.random() < known else None,
        gives_way_in=20.0 if random.random() < 0.1 else None,
        ending=random.random() < 0.1,
    )


def job(random: Random, number: int, known: float) -> Waiting:
    types = random.sample((*TYPES, "tpu"), random.choice((0, 1, 1, 2)))
    return Waiting(
        job=JobId(f"j{number:02}"),
        attempt=1,
        owner=random.choice(OWNERS),
        priority=random.choice(CLASSES),
        count=random.choice((0, 1, 1, 2, 2, 3, 4)),
        types=tuple(types),
        max_price=random.choice((None, None, 1.5)),
        copies=random.choice((1, 1, 2, 3)),
        gang=random.random() < 0.4,
        preemptible=random.random() < 0.5,
        run_at_most=random.choice(TIMES) if random.random() < known else None,
        age=random.choice((0.0, 50.0, 2000.0)),
        seq=number,
    )


def quotas(random: Random) -> list[Quota]:
    return [
        Quota(
            owner=owner,
            gpu_type=kind,
            nominal=random.randrange(6),
            borrow=random.choice((None, 0, 2)),
            cohort=random.choice("ccd"),
        )
        for owner in OWNERS
        for kind in (*TYPES, "*")
        if random.random() < 0.4
    ]
