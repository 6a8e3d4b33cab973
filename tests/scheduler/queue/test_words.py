"""What those who wait are told, in words and in parts."""

from __future__ import annotations

import msgspec
import pytest

from services.scheduler.queue.wish import FAR
from services.scheduler.queue.words import _within
from shared.waits import Waits
from tests.scheduler.queue.pictures import holder, job, machines, quota, reasons, slots, waits


@pytest.mark.parametrize(
    ("waiting", "there", "cause"),
    [
        pytest.param([job("a", 2, "rtx")], slots(rtx="f-"), "gpus", id="too few are free"),
        pytest.param([job("a", 2, "rtx")], machines(m="f-", n="f-"), "machine", id="not on one machine"),
        pytest.param([job("x", 3, "rtx"), job("a", 1, "rtx")], slots(rtx="ff-"), "order", id="kept for those who come first"),
        pytest.param([job("a", 9, "rtx")], slots(rtx="f-"), "never", id="never so many"),
        pytest.param([job("a", 1, "tpu")], slots(rtx="f-"), "never", id="never of that type"),
        pytest.param([job("a", 1, "rtx", max_price=0.5)], slots({"rtx": 1.0}.items(), rtx="f"), "price", id="never at that price"),
        pytest.param([job("a", 1, "rtx", copies=2, granted=1)], slots(rtx="a-"), "copies", id="for more copies"),
        pytest.param([job("a", 1, "rtx", copies=2, granted=1)], slots(rtx="a"), "never", id="never for more"),
    ],
)  # fmt: skip
def test_the_cause(waiting, there, cause):
    assert waits(waiting, there)["a"].cause == cause


def test_the_parts():
    waiting = [job(f"x{n}", 1, "rtx") for n in range(5)]
    told = waits([*waiting, job("a", 2, "rtx", "t4", copies=3)], slots(rtx="--", t4="-f-"))["a"]
    assert told == Waits(
        cause="gpus",
        wants=2,
        copies=3,
        types=("rtx", "t4"),
        free={"rtx": 0, "t4": 1},
        there={"rtx": 2, "t4": 3},
        ahead=5,
        first=("x0", "x1", "x2"),
    )


def test_those_far_behind_are_told_the_same():
    waiting = [job(f"j{n:03}", 1, "rtx", owner=f"o{n}", age=1000.0 - n) for n in range(5 * FAR)]
    found = waits(waiting, slots(rtx="-"))
    assert [found[each.job].ahead for each in waiting[: FAR + 1]] == list(range(FAR + 1))
    assert {found[each.job].ahead for each in waiting[2 * FAR :]} <= set(range(FAR, 5 * FAR))
    told = reasons(waiting, slots(rtx="-"))
    assert told["j499"] == f"waits for 1 rtx; 0 of 1 are free; more than {FAR} jobs ahead"
    assert len(told) == len(waiting)


def test_a_gang_is_told_that_it_waits_for_all():
    said = reasons([job("a", 2, "rtx", copies=2, gang=True)], machines(m="ff", n="f-"))["a"]
    assert (
        said
        == "waits for 2 rtx on one machine for each of 2 copies at once; 3 of 4 are free; next in line"
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "as soon as what ends there is gone"),
        (0.1, "in about 10 s at the latest"),
        (40.0, "in about 40 s at the latest"),
        (41.0, "in about 50 s at the latest"),
        (121.0, "in about 3 min at the latest"),
        (601.0, "in about 20 min at the latest"),
        (7201.0, "in about 3 h at the latest"),
        (86400.0 * 9, "in about 216 h at the latest"),
    ],
)
def test_a_time_is_rounded_up(seconds, said):
    assert _within(seconds) == said


@pytest.mark.parametrize(
    ("wish", "sooner"),
    [
        (job("a", 2, "rtx"), ("with t4 as well it would start now", "with 1 GPU it would start now")),
        (job("a", 3, "t4"), ("with 2 GPUs it would start now",)),
        (job("a", 1, "t4", max_price=0.5), ("at 1 an hour for a GPU it would start now",)),
        (job("a", 1, "t4", copies=3, gang=True), ("with 2 of its 3 copies it would start now",)),
        (job("a", 1, "tpu", max_price=9.0), ("with rtx as well it would start now", "with t4 as well it would start now")),
        (job("a", 4, "rtx", max_price=0.5), ()),
    ],
)  # fmt: skip
def test_what_would_start_it_now(wish, sooner):
    there = slots({"rtx": 3.0, "t4": 1.0}.items(), rtx="f--", t4="ff-")
    assert waits([wish], there)["a"].sooner == sooner


def test_what_is_kept_for_others_starts_nobody():
    waiting = [job("first", 2, "rtx"), job("a", 2, "rtx"), job("b", 1, "t4")]
    found = waits(waiting, slots(rtx="f-", t4="-"))
    assert found["first"].sooner == ("with 1 GPU it would start now",)
    assert found["a"].sooner == found["b"].sooner == ()


def test_a_quota_that_would_do_is_named():
    told = waits(
        [job("a", 2, "rtx", owner="ann")],
        slots(rtx="AAff"),
        holder("A", owner="ann"),
        quotas=[quota("ann", 3, 0)],
    )["a"]
    assert (told.quota, told.held, told.sooner) == (
        3,
        2,
        ("with a quota of 4 instead of 3 it would be within its own",),
    )


def test_what_is_told_can_be_written_down():
    told = waits([job("a", 2, "rtx")], slots(rtx="f-"))["a"]
    assert msgspec.json.decode(msgspec.json.encode(told), type=Waits) == told
