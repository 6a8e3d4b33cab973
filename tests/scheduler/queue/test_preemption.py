"""Who gives way to whom, and that it ends."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Policy
from tests.scheduler.queue.after import started, warned
from tests.scheduler.queue.pictures import (
    holder,
    job,
    machines,
    picture,
    placed,
    quota,
    reasons,
    slots,
    waits,
)
from tests.scheduler.queue.random import pictures

replace = msgspec.structs.replace
URGENT = job("urgent", 2, "rtx", priority=100, owner="ann")


def low(name, **more):
    return holder(name, **{"preemptible": True, "priority": -100, **more})


def yielding(*args, policy=Policy(), **more):  # noqa: B008 (a value)
    return [each.job for each in decide(picture(*args, **more), policy).yielding]


@pytest.mark.parametrize(
    ("there", "holders", "victims"),
    [
        pytest.param(slots(rtx="AA"), [low("A")], ["A"], id="a lower class"),
        pytest.param(slots(rtx="AA"), [low("A", priority=100)], [], id="not the same"),
        pytest.param(slots(rtx="AA"), [low("A", preemptible=False)], [], id="not who may stay"),
        pytest.param(slots(rtx="AA"), [low("A", age=59.0)], [], id="not who has just begun"),
        pytest.param(slots(rtx="AA"), [low("A", ending=True)], [], id="not who ends anyway"),
        pytest.param(slots(rtx="AA"), [low("A", gives_way_in=9.0)], [], id="nobody twice"),
        pytest.param(slots(rtx="AA"), [low("A", ends_in=30.0)], [], id="not who ends within the notice"),
        pytest.param(slots(rtx="AA"), [low("A", ends_in=31.0)], ["A"], id="who ends after it"),
        pytest.param(slots(rtx="A-"), [low("A")], [], id="only where that suffices"),
        pytest.param(machines(m="A-", n="B-"), [low("A"), low("B")], [], id="also on one machine"),
        pytest.param(slots(rtx="Af"), [low("A")], ["A"], id="with what is free"),
        pytest.param(slots(rtx="ABCC"), [low("A"), low("B"), low("C")], ["C"], id="the fewest"),
        pytest.param(slots(rtx="AABB"), [low("A", priority=0), low("B")], ["B"], id="the lowest class"),
        pytest.param(slots(rtx="AABB"), [low("A", age=100.0), low("B", age=900.0)], ["A"], id="the youngest"),
        pytest.param(machines(m="AB", n="CC"), [low("A"), low("B"), low("C")], ["C"], id="on the machine where it costs least"),
        pytest.param(slots(rtx="ABE"), [low("A", age=99.0), low("B"), holder("E", ends_in=20.0)], ["A"], id="no more than what does not come back anyway"),
        pytest.param(slots(rtx="ABE"), [low("A", age=99.0), low("B"), low("E", ends_in=20.0, age=70.0)], ["A"], id="nobody who comes back in time"),
    ],
)  # fmt: skip
def test_who_gives_way_to_a_higher_class(there, holders, victims):
    assert yielding([URGENT], there, *holders) == victims


def test_nobody_is_asked_twice_for_one_and_he_keeps_what_is_coming():
    others = [job("other", 2, "rtx", priority=100, age=0.0), job("small", 1, "rtx", priority=100)]
    first = replace(URGENT, age=5.0)
    assert yielding([first, *others], slots(rtx="AA"), low("A")) == ["A"]
    assert yielding([first, *others], slots(rtx="AA"), low("A", gives_way_in=20.0)) == []
    assert placed([first, others[1]], slots(rtx="Bf"), low("B", gives_way_in=20.0)) == {}


def test_it_is_told_who_gives_way_and_why():
    args = [URGENT], slots(rtx="AA"), low("A")
    (told,) = decide(picture(*args)).yielding
    assert (told.to, told.attempt, told.reason) == (
        "urgent",
        1,
        "gives way to a job of a higher class",
    )
    assert reasons(*args)["urgent"] == (
        "waits for 2 rtx; 0 of 2 are free; next in line; 1 job gives way to it; "
        "starts in about 30 s at the latest"
    )
    assert (waits(*args)["urgent"].cause, waits(*args)["urgent"].first) == ("yielding", ("A",))


def test_who_was_warned_for_nothing_is_let_off():
    there = slots(rtx="AA")
    assert decide(picture([], there, low("A", gives_way_in=9.0))).let_off == ["A"]
    assert decide(picture([URGENT], there, low("A", gives_way_in=9.0))).let_off == []


def test_who_is_warned_for_one_that_starts_before_is_let_off():
    there = slots(rtx="EEVV")
    held = [holder("E", ends_in=10.0), low("V", gives_way_in=20.0)]
    assert decide(picture([URGENT], there, *held)).let_off == ["V"]


def test_for_a_gang_nobody_gives_way_who_is_of_no_use():
    gang = job("gang", 2, "rtx", copies=2, gang=True, priority=100)
    there = machines(m="AA", n="BB", o="C-", p="C-", q="C-")
    assert sorted(yielding([gang], there, low("A"), low("B"), low("C"))) == ["A", "B"]


def test_for_a_gang_as_many_give_way_as_it_takes():
    gang = job("gang", 2, "rtx", copies=2, gang=True, priority=100)
    there = machines(m="AA", n="BC", o="DD")
    held = [low("A", age=99.0), low("B"), low("C"), low("D")]
    assert sorted(yielding([gang], there, *held)) == ["A", "D"]
    assert yielding([gang], machines(m="AA", n="--"), low("A")) == []


def test_nobody_gives_way_where_only_some_are_within_the_price():
    cheap, dear = slots({"rtx": 1.0}.items(), rtx="A"), slots({"rtx": 2.0}.items(), rtx="-A")[1:]
    limited = job("limited", 1, "rtx", priority=100, max_price=1.5)
    assert yielding([limited], cheap, low("A")) == ["A"]
    assert yielding([limited], [*cheap, *dear], low("A")) == []


def test_nobody_gives_way_to_one_who_would_grow():
    grower = job("grower", 1, "rtx", copies=2, granted=1, priority=100)
    assert yielding([grower], slots(rtx="gA"), low("A"), holder("grower")) == []


ANN, BOB = quota("ann", 2), quota("bob", 2)
OWN = job("own", 2, "rtx", owner="ann")


@pytest.mark.parametrize(
    ("there", "holders", "quotas", "victims"),
    [
        pytest.param("BBCC", {"B": 0, "C": 0}, [ANN, BOB], ["B"], id="who has borrowed"),
        pytest.param("BB--", {"B": 0}, [ANN, BOB], [], id="not who has no more than its own"),
        pytest.param("BBCC", {"B": 0, "C": 0}, [ANN, replace(BOB, cohort="them")], [], id="not another cohort"),
        pytest.param("BBCC", {"B": 0, "C": 0}, [ANN], [], id="not who has no quota"),
        pytest.param("BBCC", {"B": 0, "C": 0}, [BOB], [], id="not for one who has no quota"),
        pytest.param("BBCC", {"B": 100, "C": 100}, [ANN, BOB], [], id="not a higher class: it would come first again"),
        pytest.param("BBCC", {"B": -100, "C": -100}, [quota("ann", 0), BOB], [], id="not for one who would have to borrow"),
        pytest.param("BBBC", {"B": 0, "C": 0}, [ANN, BOB], ["B"], id="one is enough"),
        pytest.param("BCDE", {"B": 0, "C": 0, "D": 0, "E": 0}, [ANN, BOB], ["B", "C"], id="so many"),
        pytest.param("BCD-", {"B": 0, "C": 0, "D": 0}, [ANN, BOB], [], id="no more than it has borrowed"),
    ],
)  # fmt: skip
def test_who_gives_back_what_he_borrowed(there, holders, quotas, victims):
    held = [low(name, owner="bob", priority=n) for name, n in holders.items()]
    assert yielding([OWN], slots(rtx=there), *held, quotas=quotas) == victims


def test_who_would_borrow_takes_nothing_from_one_within_his_own_however_low_its_class():
    urgent = job("urgent", 1, "rtx", owner="ann", priority=100)
    args = [urgent], slots(rtx="BB"), low("B", owner="bob")
    assert yielding(*args, quotas=[quota("ann", 0), quota("bob", 2)]) == []
    assert yielding(*args, quotas=[quota("ann", 1), quota("bob", 2)]) == ["B"]


def test_where_the_quota_is_short_jobs_of_the_same_owner_give_way():
    args = [URGENT], slots(rtx="AAff"), low("A", owner="ann")
    assert yielding(*args, quotas=[quota("ann", 2, 0)]) == ["A"]
    assert yielding(*args, quotas=[quota("ann", 1, 0)]) == [], "it could not start either way"
    assert (
        yielding([URGENT], slots(rtx="BBff"), low("B", owner="bob"), quotas=[quota("ann", 1, 0)])
        == []
    )


def _queued_again(picture, yielded):
    """Those that gave way are gone from their GPUs and wait in their old places."""
    replaced = [replace(s, job=None) if s.job in yielded else s for s in picture.slots]
    back = []
    for name in yielded:
        each, count = picture.holders[name], sum(s.job == name for s in picture.slots)
        kind = next(s.type for s in picture.slots if s.job == name)
        back.append(
            job(
                name,
                count,
                kind,
                owner=each.owner,
                priority=each.priority,
                preemptible=True,
                age=3000.0,
            )
        )
    return replace(
        picture,
        slots=replaced,
        waiting=[*picture.waiting, *back],
        holders={n: h for n, h in picture.holders.items() if n not in yielded},
    )


@given(pictures)
@settings(max_examples=150, deadline=None)
def test_those_who_give_way_suffice_and_none_could_be_left_out(picture):
    policy = Policy(kept=0.0, notice=0.0)
    nobody = {n: replace(h, gives_way_in=None, ending=False) for n, h in picture.holders.items()}
    for each in picture.waiting:
        alone = replace(picture, holders=nobody, waiting=[each])
        victims = [told.job for told in decide(alone, policy).yielding]
        if not victims:
            continue
        (placement,) = decide(_gone(alone, victims), policy).placements
        assert placement.job == each.job, "they suffice"
        for spared in victims:
            less = _gone(alone, [victim for victim in victims if victim != spared])
            assert not decide(less, policy).placements, "each is needed"


def _gone(picture, jobs):
    return replace(
        picture,
        slots=[replace(s, job=None) if s.job in jobs else s for s in picture.slots],
        holders={n: h for n, h in picture.holders.items() if n not in jobs},
    )


@given(pictures)
@settings(max_examples=150, deadline=None)
def test_preemption_ends_even_if_it_may_be_done_at_once(picture):
    """Whoever gave way queues again, and nobody has a time in which he is left alone."""
    policy = Policy(kept=0.0, notice=0.0)
    picture = replace(picture, waiting=[replace(j, copies=1) for j in picture.waiting])
    for _ in range(60):
        decision = decide(picture, policy)
        if not (decision.placements or decision.yielding or decision.let_off):
            return
        picture = warned(started(picture, decision), decision, policy)
        picture = _queued_again(
            picture, [n for n, h in picture.holders.items() if h.gives_way_in is not None]
        )
    raise AssertionError("it goes on and on")
