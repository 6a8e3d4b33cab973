"""Queues and targets at random, for what must hold of any of them."""

from __future__ import annotations

from hypothesis import strategies as st

from services.scheduler.queue.values import Holder, Owner, Picture, Quota, Slot, Waiting
from shared.ids import JobId

TYPES = ("rtx", "a100")
OWNERS = ("ann", "bob", "cid")
CLASSES = (-100, 0, 100)
PRICES = {"rtx": (1.0,), "a100": (1.0, 2.0)}
"""What a GPU of each type costs: of one type they may differ."""

times = st.sampled_from((10.0, 30.0, 100.0, 600.0))


@st.composite
def slots(draw, most=14, holders=("x", "y", "z", "v", "w")):
    """GPUs on three machines; of one holder all are of one type."""
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TYPES),
                st.sampled_from("mno"),
                st.none() | st.sampled_from(holders),
                st.integers(0, 1),
            ),
            max_size=most,
        )
    )
    kinds: dict[str, str] = {}
    found = []
    for number, (kind, node, name, cost) in enumerate(rows):
        if name is not None:
            kind = kinds.setdefault(name, kind)
        prices = PRICES[kind]
        found.append(
            Slot(
                gpu=f"g{number}",
                type=kind,
                node=node,
                price=prices[cost % len(prices)],
                job=None if name is None else JobId(name),
            )
        )
    return found


@st.composite
def holder(draw, name):
    return Holder(
        job=JobId(name),
        attempt=1,
        owner=draw(st.sampled_from(OWNERS)),
        priority=draw(st.sampled_from(CLASSES)),
        preemptible=draw(st.booleans()),
        age=draw(st.sampled_from((5.0, 500.0, 900.0))),
        ends_in=draw(st.none() | times),
        gives_way_in=draw(st.none() | st.just(20.0)),
        ending=draw(st.integers(0, 5)) == 0,
    )


@st.composite
def job(draw, number):
    copies = draw(st.integers(1, 3))
    return Waiting(
        job=JobId(f"j{number:02}"),
        attempt=1,
        owner=draw(st.sampled_from(OWNERS)),
        priority=draw(st.sampled_from(CLASSES)),
        count=draw(st.integers(0, 4)),
        types=tuple(draw(st.lists(st.sampled_from((*TYPES, "tpu")), max_size=2, unique=True))),
        max_price=draw(st.none() | st.just(1.5)),
        copies=copies,
        gang=draw(st.booleans()),
        preemptible=draw(st.booleans()),
        run_at_most=draw(st.none() | times),
        age=draw(st.sampled_from((0.0, 50.0, 2000.0))),
        seq=number,
    )


@st.composite
def quotas(draw):
    rows = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(OWNERS), st.sampled_from((*TYPES, "*"))),
            st.tuples(st.integers(0, 5), st.none() | st.integers(0, 3), st.sampled_from("cd")),
            max_size=5,
        )
    )
    return [
        Quota(owner=owner, gpu_type=kind, nominal=nominal, borrow=borrow, cohort=cohort)
        for (owner, kind), (nominal, borrow, cohort) in rows.items()
    ]


@st.composite
def pictures(draw, most=8):
    there = draw(slots())
    names = sorted({slot.job for slot in there if slot.job is not None})
    return Picture(
        waiting=[draw(job(number)) for number in range(draw(st.integers(0, most)))],
        slots=there,
        holders={JobId(name): draw(holder(name)) for name in names},
        quotas=draw(quotas()),
        owners={
            name: Owner(
                owner=name,
                weight=draw(st.sampled_from((1.0, 3.0))),
                used={"rtx": draw(st.sampled_from((0.0, 2.5)))},
                spent=draw(st.integers(0, 9)) == 0,
            )
            for name in draw(st.sets(st.sampled_from(OWNERS)))
        },
    )
