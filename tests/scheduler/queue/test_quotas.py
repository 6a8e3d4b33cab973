"""What owners may have: their own, and what others of their cohort leave unused."""

from __future__ import annotations

import pytest

from tests.scheduler.queue.pictures import (
    holder,
    job,
    machines,
    placed,
    quota,
    reasons,
    slots,
    waits,
)


def of(owner, name, count=1, *types, **more):
    return job(name, count, *(types or ("rtx",)), owner=owner, **more)


BOB_HAS = holder("B", owner="bob")


@pytest.mark.parametrize(
    ("waiting", "there", "quotas", "started"),
    [
        pytest.param(
            [of("ann", "a"), of("ann", "b"), of("ann", "c")],
            slots(rtx="ffff"),
            [quota("ann", 2, 0)],
            ["a", "b"],
            id="no more than nominal where nothing may be borrowed",
        ),
        pytest.param(
            [of("ann", "a"), of("ann", "b"), of("ann", "c"), of("ann", "d")],
            slots(rtx="ffff"),
            [quota("ann", 1, 2), quota("bob", 3)],
            ["a", "b", "c"],
            id="nominal and what it may borrow",
        ),
        pytest.param(
            [of("ann", "a"), of("ann", "b"), of("ann", "c")],
            slots(rtx="ffBB"),
            [quota("ann", 1), quota("bob", 3)],
            ["a", "b"],
            id="nobody lends what he uses",
        ),
        pytest.param(
            [of("ann", "a"), of("ann", "b")],
            slots(rtx="ffff"),
            [quota("ann", 1), quota("bob", 3, cohort="them")],
            ["a"],
            id="nobody lends to another cohort",
        ),
        pytest.param(
            [of("ann", "a"), of("ann", "b"), of("cid", "c"), of("cid", "d")],
            slots(rtx="ffff"),
            [quota("ann", 1, 0)],
            ["a", "c", "d"],
            id="who has no quota has no limit",
        ),
        pytest.param(
            [of("ann", "a", 1, "rtx"), of("ann", "b", 1, "t4"), of("ann", "c", 1, "t4")],
            slots(rtx="ff", t4="ff"),
            [quota("ann", 2, 0, kind="*")],
            ["a", "b"],
            id="all types together",
        ),
        pytest.param(
            [of("ann", "a", 1, "rtx"), of("ann", "b", 1, "t4"), of("ann", "c", 1, "rtx")],
            slots(rtx="ff", t4="ff"),
            [quota("ann", 1, 0, kind="*"), quota("ann", 1, 0)],
            ["a", "b"],
            id="a type's own quota before that of all types",
        ),
        pytest.param(
            [of("ann", "a", 1, "rtx", "t4"), of("ann", "b", 1, "rtx", "t4")],
            slots(rtx="ff", t4="ff"),
            [quota("ann", 1, 0)],
            ["a", "b"],
            id="its second choice where the first has no quota left",
        ),
        pytest.param(
            [of("ann", "big", 3), of("ann", "small", 1, "t4")],
            slots(rtx="ffff", t4="f"),
            [quota("ann", 2, 0)],
            ["small"],
            id="what its quota never lets start keeps nothing",
        ),
        pytest.param(
            [of("ann", "big", 3), of("bob", "small")],
            slots(rtx="ff-", t4="f"),
            [quota("ann", 2, 0)],
            ["small"],
            id="... from anybody",
        ),
    ],
)
def test_who_may_start(waiting, there, quotas, started):
    assert list(placed(waiting, there, BOB_HAS, quotas=quotas)) == started


def test_who_is_within_his_own_comes_before_who_borrows_and_before_who_has_no_quota():
    waiting = [of("cid", "none", age=9.0), of("ann", "lent", age=8.0), of("bob", "own", age=1.0)]
    quotas = [quota("ann", 0), quota("bob", 3)]
    assert list(placed(waiting, slots(rtx="f--B"), BOB_HAS, quotas=quotas)) == ["own"]


def test_a_higher_class_comes_first_even_if_it_borrows():
    waiting = [of("ann", "lent", priority=100), of("bob", "own")]
    quotas = [quota("ann", 0), quota("bob", 3)]
    assert list(placed(waiting, slots(rtx="f---"), quotas=quotas)) == ["lent"]


def test_what_the_owner_of_a_quota_waits_for_is_not_lent():
    waiting = [of("bob", "big", 3, age=1.0), of("ann", "lent", age=9.0)]
    quotas = [quota("ann", 0), quota("bob", 3)]
    assert placed(waiting, slots(rtx="f---"), quotas=quotas) == {}


def test_what_is_waited_for_elsewhere_is_not_lent_either():
    waiting = [of("bob", "big", 3), of("ann", "lent")]
    there = [*machines(a="ffE"), *machines(b="f-")]
    args = waiting, there, holder("E", ends_in=50.0)
    assert placed(*args, quotas=[quota("ann", 0), quota("bob", 3)]) == {}
    assert placed(*args, quotas=[quota("ann", 0), quota("bob", 4)]) == {"lent": ["b0"]}


def test_what_is_its_own_is_given_though_others_have_borrowed_all_of_it():
    quotas = [quota("ann", 2), quota("bob", 1)]
    assert list(placed([of("ann", "a")], slots(rtx="BBBf"), BOB_HAS, quotas=quotas)) == ["a"]


def test_where_its_own_type_is_not_free_it_borrows_another():
    jobs = [of("ann", "a", 1, "rtx", "t4")]
    assert placed(jobs, slots(rtx="-", t4="f"), quotas=[quota("ann", 1)]) == {"a": ["t4-0"]}


def test_copies_come_as_far_as_the_quota_goes():
    jobs = [of("ann", "many", copies=5)]
    assert placed(jobs, slots(rtx="ffffff"), quotas=[quota("ann", 3, 0)]) == {
        "many": ["rtx-0", "rtx-1", "rtx-2"]
    }


def test_copies_that_would_be_borrowed_come_after_those_within_their_own():
    waiting = [of("ann", "many", copies=3, age=9.0), of("bob", "own", 2, age=1.0)]
    quotas = [quota("ann", 1), quota("bob", 2)]
    found = placed(waiting, slots(rtx="fff"), quotas=quotas)
    assert found == {"many": ["rtx-0"], "own": ["rtx-1", "rtx-2"]}


def test_a_gang_is_not_started_by_halves_of_a_quota():
    jobs = [of("ann", "many", copies=3, gang=True)]
    assert placed(jobs, slots(rtx="ffff"), quotas=[quota("ann", 2, 0)]) == {}


@pytest.mark.parametrize(
    ("quotas", "said"),
    [
        ([quota("bob", 2, 0)], "waits for 1 rtx; its owner may have 2 rtx and has 2"),
        ([quota("bob", 2, 0, kind="*")], "waits for 1 rtx; its owner may have 2 GPUs and has 2"),
        (
            [quota("bob", 1), quota("ann", 1, 0)],
            "waits for 1 rtx; its owner may have 2 rtx and has 2",
        ),
        (
            [quota("bob", 1), quota("ann", 2), quota("cid", 1)],
            "waits for 1 rtx; its owner may have 4 rtx and has 2; "
            "the rest is not left over by others of its cohort",
        ),
    ],
)
def test_who_lacks_quota_is_told(quotas, said):
    others = [holder("A", owner="ann"), BOB_HAS]
    args = [of("bob", "b")], slots(rtx="ffAABB"), *others
    assert reasons(*args, quotas=quotas)["b"] == said
    told = waits(*args, quotas=quotas)["b"]
    assert (told.cause, told.held) == ("quota", 2)
