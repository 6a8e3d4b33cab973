"""Reserved starts: who waits for much, and who may pass it meanwhile."""

from __future__ import annotations

import msgspec
import pytest

from services.scheduler.queue.decide import decide
from services.scheduler.queue.values import Policy
from tests.scheduler.queue.pictures import (
    holder,
    job,
    machines,
    picture,
    placed,
    reasons,
    slots,
    waits,
)

ENDS = holder("E", ends_in=100.0)
BIG = job("big", 4, "rtx")


@pytest.mark.parametrize(
    ("waiting", "there", "started"),
    [
        pytest.param(
            [BIG, job("short", 1, "rtx", run_at_most=100.0)],
            slots(rtx="fffE"),
            ["short"],
            id="S10: who ends before the reserved start passes",
        ),
        pytest.param(
            [BIG, job("long", 1, "rtx", run_at_most=101.0)],
            slots(rtx="fffE"),
            [],
            id="S10: who ends after it waits",
        ),
        pytest.param([BIG, job("for ever", 1, "rtx")], slots(rtx="fffE"), [], id="S10: so does who never ends"),
        pytest.param(
            [BIG, job("short", 1, "rtx", run_at_most=1.0)],
            slots(rtx="fff-"),
            [],
            id="S10: where no end is known nobody passes",
        ),
        pytest.param(
            [BIG, job("for ever", 1, "rtx"), job("one more", 1, "rtx")],
            slots(rtx="ffEEE"),
            ["for ever"],
            id="what it leaves over is free for all",
        ),
        pytest.param(
            [BIG, job("elsewhere", 1, "rtx")],
            [*machines(a="fffE"), *machines(b="f---")],
            ["elsewhere"],
            id="only its own machine is kept",
        ),
        pytest.param(
            [BIG, job("small", 1, "rtx")],
            [*machines(a="fff-"), *machines(b="f-")],
            ["small"],
            id="a machine that could never help is not kept",
        ),
        pytest.param(
            [BIG, job("second", 4, "rtx"), job("short", 1, "rtx", run_at_most=150.0)],
            [*machines(a="fffE"), *machines(b="ffLL")],
            ["short"],
            id="each who waits has a start of its own, where he who passes fits before it",
        ),
        pytest.param(
            [job("big", 4, "rtx", run_at_most=50.0), job("second", 4, "rtx"), job("short", 1, "rtx", run_at_most=120.0)],
            slots(rtx="fffE"),
            [],
            id="the second after the first",
        ),
    ],
)  # fmt: skip
def test_who_passes(waiting, there, started):
    assert list(placed(waiting, there, ENDS, holder("L", ends_in=200.0))) == started


def test_of_two_that_fit_half_neither_holds_what_the_other_needs():
    """S11."""
    assert placed([job("a", 4, "rtx"), job("b", 4, "rtx")], slots(rtx="ffffff")) == {
        "a": ["rtx-0", "rtx-1", "rtx-2", "rtx-3"]
    }
    assert placed([job("a", 4, "rtx"), job("b", 4, "rtx")], slots(rtx="fff---")) == {}


def test_what_can_never_fit_keeps_nothing():
    """S14."""
    never = [
        job("nine", 9, "rtx"),
        job("unknown", 1, "tpu"),
        job("gang", 4, "rtx", copies=3, gang=True),
    ]
    found = waits([*never, job("small", 1, "rtx")], slots(rtx="ffffffff"))
    assert {name: told.cause for name, told in found.items()} == dict.fromkeys(
        ("nine", "unknown", "gang"), "never"
    )


def test_it_is_told_when_it_starts_at_the_latest():
    there = slots(rtx="fffE")
    assert reasons([BIG], there, ENDS)["big"] == (
        "waits for 4 rtx; 3 of 4 are free; next in line; starts in about 100 s at the latest"
    )
    assert waits([BIG], there, ENDS)["big"].starts_in == 100.0


@pytest.mark.parametrize(
    ("more", "starts_in"),
    [
        ({"ending": True}, 0.0),
        ({"gives_way_in": 20.0, "ends_in": 50.0}, 20.0),
        ({"ends_in": -5.0}, 0.0),
    ],
)
def test_an_end_is_what_comes_first(more, starts_in):
    assert waits([BIG], slots(rtx="fffE"), holder("E", **more))["big"].starts_in == starts_in


@pytest.mark.parametrize(("stuck", "passes"), [(False, ["small"]), (True, [])])
def test_nobody_relies_on_one_who_is_ending_for_ever(stuck, passes):
    waiting = [BIG, job("small", 1, "rtx")]
    ending, other = holder("E", ending=True, stuck=stuck), holder("O")
    assert list(placed(waiting, machines(a="EEEE", b="fOOO"), ending, other)) == passes


def test_slack_lets_pass_who_puts_it_off_by_no_more():
    waiting = [msgspec.structs.replace(BIG, age=10.0), job("short", 1, "rtx", run_at_most=130.0)]
    args = waiting, slots(rtx="fffE"), ENDS
    assert list(placed(*args, policy=Policy(slack=30.0))) == ["short"]
    assert list(placed(*args, policy=Policy(slack=29.0))) == []


def test_slack_does_not_add_up():
    waiting = [msgspec.structs.replace(BIG, age=40.0), job("short", 1, "rtx", run_at_most=120.0)]
    passed = holder("P", ends_in=100.0, age=20.0)  # it has used up all that it may
    old = holder("E", ends_in=70.0)
    assert placed(waiting, slots(rtx="ffPE"), old, passed, policy=Policy(slack=30.0)) == {}


@pytest.mark.parametrize(
    ("passed", "lasts"),
    [
        pytest.param(holder("P", ends_in=5.0, age=20.0), 20.0, id="it has been put off, who knows how far"),
        pytest.param(holder("P", ends_in=100.0, age=40.0), 130.0, id="whoever came when it did has passed it"),
    ],
)  # fmt: skip
def test_no_slack_is_left(passed, lasts):
    waiting = [msgspec.structs.replace(BIG, age=40.0), job("short", 1, "rtx", run_at_most=lasts)]
    assert placed(waiting, slots(rtx="fffP"), passed, policy=Policy(slack=30.0)) == {}


@pytest.mark.parametrize(
    ("gang", "there", "found"),
    [
        pytest.param(True, machines(a="ff", b="f-"), {}, id="not some of them"),
        pytest.param(True, machines(a="ff", b="ff"), {"g": ["a0", "a1", "b0", "b1"]}, id="all at once"),
        pytest.param(False, machines(a="ff", b="f-"), {"g": ["a0", "a1"]}, id="some, without"),
    ],
)  # fmt: skip
def test_a_gang_starts_whole(gang, there, found):
    assert placed([job("g", 2, "rtx", copies=2, gang=gang)], there) == found


def test_a_gang_takes_the_first_type_that_has_room_for_all():
    wish = job("g", 1, "a100", "rtx", copies=3, gang=True)
    there = [*machines("a100", a="ff-"), *machines(b="fff")]
    assert placed([wish], there) == {"g": ["b0", "b1", "b2"]}


def test_a_gang_has_a_reserved_start_on_all_its_machines():
    gang = job("g", 2, "rtx", copies=2, gang=True)
    there = machines(a="ff", b="fE", c="f-")
    assert waits([gang], there, ENDS)["g"].starts_in == 100.0
    assert placed([gang, job("long", 1, "rtx")], there, ENDS) == {"long": ["c0"]}
    assert list(placed([gang, job("short", 1, "rtx", run_at_most=99.0)], there, ENDS)) == ["short"]


def test_who_grows_has_a_reserved_start_as_well():
    grower = job("g", 1, "rtx", copies=3, granted=2)
    there = slots(rtx="ggE")
    args = [grower, job("next", 1, "rtx")], there, ENDS, holder("g")
    assert waits(*args)["g"].starts_in == 100.0
    assert decide(picture(*args)).placements == []
