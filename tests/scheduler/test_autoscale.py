"""How many copies a job is to have: as a table, and by properties."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.autoscale import Demand, Past, Scaled, needed, remember, wanted
from shared.endpoint import Autoscaling
from shared.ids import JobId

STEP = 2.0


def scaled(
    copies: int = 1, demand: Demand | None = None, concurrency: int = 4, **scaling: int
) -> Scaled:
    return Scaled(
        job=JobId("j1"),
        attempt=1,
        copies=copies,
        autoscaling=Autoscaling(**{"max": 10, "requests": 10, **scaling}),
        concurrency=concurrency,
        demand=demand or Demand(),
    )


@pytest.mark.parametrize(
    ("copies", "demand", "need"),
    [
        (1, Demand(), 1),
        (1, Demand(inside=10), 1),
        (1, Demand(inside=10.9), 1),  # a little more is within what they may have
        (1, Demand(inside=11.5), 2),
        (2, Demand(inside=20.5), 2),
        (3, Demand(inside=20.5), 3),  # which holds for the copies that it has
        (1, Demand(inside=12, waiting=20), 4),
        (1, Demand(inside=10, turned_away=20, seconds=0.5), 2),
        (1, Demand(inside=10, turned_away=20, seconds=2), 5),
        (1, Demand(inside=0, turned_away=0.5), 1),  # it is not known how long one takes
        (1, Demand(inside=1000), 10),
        (10, Demand(), 1),
    ],
)
def test_copies_by_requests_in_hand(copies: int, demand: Demand, need: int) -> None:
    assert needed(scaled(copies, demand)) == need


@pytest.mark.parametrize(
    ("demand", "need"),
    [
        (Demand(), 1),
        (Demand(inside=4), 1),
        (Demand(inside=4, waiting=1), 2),
        (Demand(inside=4, waiting=5), 2),
        (Demand(inside=8, waiting=6), 4),
        (Demand(inside=8), 2),  # what is in hand keeps those that it fills
        (Demand(inside=4, waiting=5, turned_away=1), 3),
        (Demand(inside=400), 10),
    ],
)
def test_copies_by_requests_that_wait(demand: Demand, need: int) -> None:
    by_queue = Autoscaling(max=10, waiting=5)
    job = Scaled(
        job=JobId("j1"), attempt=1, copies=1, autoscaling=by_queue, concurrency=4, demand=demand
    )
    assert needed(job) == need


def test_of_both_the_more_is_needed() -> None:
    assert needed(scaled(demand=Demand(inside=4, waiting=10), waiting=2, requests=14)) == 6
    assert needed(scaled(demand=Demand(inside=28), waiting=2, requests=4)) == 7


DEMANDS = st.builds(
    Demand,
    inside=st.floats(0, 200),
    waiting=st.floats(0, 200),
    turned_away=st.floats(0, 100),
    seconds=st.floats(0, 5),
)
SCALINGS = st.builds(
    lambda low, more, requests, waiting, after: Autoscaling(
        min=low,
        max=min(100, low + more),
        requests=None if requests is None and waiting is not None else requests or 5,
        waiting=waiting,
        down_after=after,
    ),
    st.integers(1, 10),
    st.integers(0, 20),
    st.none() | st.integers(1, 40),
    st.none() | st.integers(1, 40),
    st.integers(0, 20),
)


def told(scaling: Autoscaling, copies: int, demand: Demand) -> Scaled:
    return Scaled(
        job=JobId("j1"),
        attempt=1,
        copies=copies,
        autoscaling=scaling,
        concurrency=4,
        demand=demand,
    )


def lived(scaling: Autoscaling, demands: list[Demand], copies: int) -> list[tuple[int, int]]:
    """Of each step, the copies that were needed then and those that it got."""
    past: Past | None = None
    found = []
    for number, demand in enumerate(demands):
        now = number * STEP
        job = told(scaling, copies, demand)
        past = remember(past, job, now)
        copies = wanted(past, job, now)
        found.append((needed(job), copies))
    return found


@given(SCALINGS, st.lists(DEMANDS, min_size=1, max_size=40), st.integers(1, 30))
def test_it_has_never_fewer_than_are_needed_and_never_more_than_it_may(
    scaling: Autoscaling, demands: list[Demand], copies: int
) -> None:
    for need, got in lived(scaling, demands, copies):
        assert scaling.min <= need <= got <= scaling.max


@given(SCALINGS, st.lists(DEMANDS, min_size=1, max_size=40))
def test_it_has_fewer_only_when_fewer_would_have_done_for_so_long(
    scaling: Autoscaling, demands: list[Demand]
) -> None:
    steps = lived(scaling, demands, scaling.min)
    looks = int(scaling.down_after / STEP)
    for number in range(1, len(steps)):
        before, got = steps[number - 1][1], steps[number][1]
        if got < before:
            assert number * STEP >= scaling.down_after, "it was not watched for so long"
            window = steps[max(0, min(number, number - looks + 1)) : number + 1]
            assert got >= max(need for need, _ in window)


@given(SCALINGS, DEMANDS, st.integers(1, 30))
def test_where_nothing_changes_it_comes_to_rest(
    scaling: Autoscaling, demand: Demand, copies: int
) -> None:
    steps = [got for _, got in lived(scaling, [demand] * 40, copies)]
    assert len(set(steps[len(steps) // 2 :])) == 1


@given(SCALINGS, DEMANDS, DEMANDS)
def test_what_goes_up_and_down_within_the_time_moves_nothing_after_the_first(
    scaling: Autoscaling, one: Demand, other: Demand
) -> None:
    if scaling.down_after < 2 * STEP:
        return
    steps = lived(scaling, [one, other] * 20, scaling.min)
    falls = sum(now < before for (_, before), (_, now) in itertools.pairwise(steps))
    rises = sum(now > before for (_, before), (_, now) in itertools.pairwise(steps))
    assert falls == 0 or rises <= 2


@given(SCALINGS, DEMANDS, st.floats(0, 50), st.integers(1, 20))
def test_more_to_do_never_needs_fewer(
    scaling: Autoscaling, demand: Demand, more: float, copies: int
) -> None:
    larger = Demand(
        inside=demand.inside + more,
        waiting=demand.waiting,
        turned_away=demand.turned_away,
        seconds=demand.seconds,
    )
    assert needed(told(scaling, copies, demand)) <= needed(told(scaling, copies, larger))


@given(SCALINGS, st.lists(DEMANDS, max_size=60))
def test_what_is_remembered_stays_small(scaling: Autoscaling, demands: list[Demand]) -> None:
    past = None
    for number, demand in enumerate(demands):
        past = remember(past, told(scaling, 1, demand), number * STEP)
        needs = [need for _, need in past.needs]
        assert needs == sorted(set(needs), reverse=True)
        assert len(needs) <= scaling.max - scaling.min + 1
