"""Whose turn it is: classes, shares and ages."""

from __future__ import annotations

import pytest

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Owner
from tests.scheduler.queue.pictures import holder, job, machines, picture, placed, slots


def of(owner, name, count=1, *types, **more):
    return job(name, count, *(types or ("rtx",)), owner=owner, **more)


@pytest.mark.parametrize(
    ("waiting", "there", "more", "first"),
    [
        pytest.param(
            [of("ann", "old", age=500.0), of("ann", "new", age=5.0)],
            slots(rtx="f"),
            {},
            "old",
            id="of one owner the older",
        ),
        pytest.param(
            [of("ann", "later", age=5.0, seq=2), of("ann", "earlier", age=5.0, seq=1)],
            slots(rtx="f"),
            {},
            "earlier",
            id="of one moment the lower number",
        ),
        pytest.param(
            [of("ann", "old", age=500.0), of("bob", "urgent", age=5.0, priority=100)],
            slots(rtx="f"),
            {},
            "urgent",
            id="a higher class before all",
        ),
        pytest.param(
            [of("ann", "old", age=500.0, priority=-100), of("ann", "new", age=5.0)],
            slots(rtx="f"),
            {},
            "new",
            id="also of one owner",
        ),
        pytest.param(
            [of("ann", "old", age=500.0), of("bob", "new", age=5.0)],
            slots(rtx="fA"),
            {"holders": [holder("A", owner="ann")]},
            "new",
            id="who holds less",
        ),
        pytest.param(
            [of("ann", "old", age=500.0), of("bob", "new", age=5.0)],
            slots(rtx="fA"),
            {"holders": [holder("A", owner="ann")], "owners": [Owner(owner="ann", weight=4.0), Owner(owner="bob", used={"rtx": 0.5})]},
            "old",
            id="by its weight",
        ),
        pytest.param(
            [of("ann", "old", age=500.0), of("bob", "new", age=5.0)],
            slots(rtx="f"),
            {"owners": [Owner(owner="ann", used={"rtx": 0.3})]},
            "new",
            id="who had less of late",
        ),
        pytest.param(
            [of("ann", "old", age=500.0), of("bob", "new", age=5.0)],
            slots(rtx="fBB-----", a100="A-"),
            {"holders": [holder("A", owner="ann"), holder("B", owner="bob")]},
            "new",
            id="what counts is the type of which one has most",
        ),
    ],
)  # fmt: skip
def test_who_comes_first(waiting, there, more, first):
    holders = more.pop("holders", [])
    assert list(placed(waiting, there, *holders, **more)) == [first]


def test_owners_take_turns_while_gpus_are_given():
    many = [of("ann", f"a{n}", age=500.0 - n) for n in range(4)]
    few = [of("bob", f"b{n}", age=5.0 - n) for n in range(2)]
    assert list(placed([*many, *few], slots(rtx="ffff"))) == ["a0", "b0", "a1", "b1"]


def test_who_waits_in_its_place_counts_as_if_it_had_it():
    waiting = [
        of("ann", "big", 4, age=9.0),
        of("ann", "more", 1, "a100", age=8.0),
        of("bob", "b", 1, "a100", age=1.0),
    ]
    assert list(placed(waiting, slots(rtx="ff--", a100="f-"))) == ["b"]


def test_what_is_given_changes_the_order_at_once():
    """Who waits for much is first until its owner is given something else."""
    waiting = [
        of("ann", "big", 4, age=9.0),
        of("ann", "other", 1, "a100", age=8.0),
        of("bob", "b", age=1.0),
    ]
    assert sorted(placed(waiting, slots(rtx="f---", a100="ff"))) == ["b", "other"]


def test_jobs_without_gpus_compete_with_nobody():
    waiting = [of("ann", "big", 4), job("web", owner="ann", priority=-100)]
    assert placed(waiting, slots(rtx="f---")) == {"web": []}


def test_an_owner_whose_budget_is_spent_starts_nothing_and_keeps_nothing():
    waiting = [of("ann", "a", age=9.0), job("web", owner="ann"), of("bob", "b", age=1.0)]
    spent = [Owner(owner="ann", spent=True)]
    decision = decide(picture(waiting, slots(rtx="f"), owners=spent))
    assert [p.job for p in decision.placements] == ["b"]
    assert decision.waits["a"].cause == decision.waits["web"].cause == "budget"


def test_hundreds_of_owners_get_one_each_before_anybody_gets_two():
    waiting = [of(f"o{n % 200}", f"j{n}", age=1000.0 - n) for n in range(800)]
    there = [slot for n in range(25) for slot in machines(**{f"m{n}": "f" * 8})]
    owners = [waiting[int(name[1:])].owner for name in placed(waiting, there)]
    assert len(owners) == len(set(owners)) == 200
