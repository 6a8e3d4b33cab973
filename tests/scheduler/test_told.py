"""What is written down of why jobs wait: what says something new, and not too much at once."""

from __future__ import annotations

import pytest

from services.scheduler import told
from services.scheduler.queue.values import Decision, Waiting
from services.scheduler.told import AT_ONCE, Told, same
from shared.waits import Waits


def queue(count, cause=None, reason=""):
    return {
        f"j{n}": Waiting(job=f"j{n}", attempt=1, reason=reason, waits=Waits(cause=cause))
        for n in range(count)
    }


def because(waiting, cause="gpus", reason="waits"):
    return Decision(
        placements=[],
        reasons=dict.fromkeys(waiting, reason),
        waits=dict.fromkeys(waiting, Waits(cause=cause)),
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Waits(cause="gpus"), Waits(cause="gpus"), True),
        (Waits(cause="gpus"), Waits(cause="order"), False),
        (Waits(ahead=1), Waits(ahead=2), False),
        (Waits(starts_in=100.0), Waits(starts_in=95.0), True),
        (Waits(starts_in=100.0), Waits(starts_in=70.0), False),
        (Waits(starts_in=12.0), Waits(starts_in=3.0), True),
        (Waits(starts_in=3.0), Waits(), False),
        (Waits(), Waits(starts_in=3.0), False),
    ],
)
def test_an_estimate_that_becomes_smaller_by_itself_is_no_news(before, after, expected):
    assert same(before, after) is expected


async def test_what_is_known_is_not_told_again():
    known = queue(3, "gpus", "waits")
    assert Told().lines(known, because(known)) == []
    assert len(Told().lines(known, because(known, "order"))) == 3


async def test_who_grows_is_told_elsewhere():
    grows = {"j": Waiting(job="j", attempt=1, granted=1, copies=2)}
    assert Told().lines(grows, because(grows)) == []


async def test_all_of_a_deep_queue_are_told_in_turn_and_then_only_what_has_another_cause(
    monkeypatch,
):
    monkeypatch.setattr(told, "EVERY", 3600.0)
    monkeypatch.setattr(told, "PAUSE", 0.0)
    deep, teller, found = queue(2 * AT_ONCE + 1), Told(), []
    for count in (AT_ONCE, AT_ONCE, 1, 0):
        lines = teller.lines(deep, because(deep, reason=f"{len(found)} ahead"))
        assert len(lines) == count
        found += [line.replica.job for line in lines]
        deep |= {
            line.replica.job: Waiting(
                job=line.replica.job, attempt=1, reason=line.reason, waits=line.waits
            )
            for line in lines
        }
    assert sorted(found) == sorted(deep)
    assert len(teller.lines(deep, because(deep, "order"))) == AT_ONCE


async def test_a_deep_queue_is_told_of_now_and_then(monkeypatch):
    monkeypatch.setattr(told, "PAUSE", 3600.0)
    deep, teller = queue(AT_ONCE + 1), Told()
    assert len(teller.lines(deep, because(deep))) == AT_ONCE
    assert teller.lines(deep, because(deep)) == []
    few = queue(AT_ONCE)
    assert len(teller.lines(few, because(few, "order"))) == AT_ONCE
