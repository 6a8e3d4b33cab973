from __future__ import annotations

import asyncio

import pytest

from services.scheduler.driver import Replica
from services.scheduler.hands import Hands, Later
from shared.errors import Transient
from shared.ids import JobId

A, B = Replica(JobId("a"), 1), Replica(JobId("b"), 1)


@pytest.fixture
def room():
    return asyncio.Semaphore(1)


async def test_it_says_what_is_in_hand_and_when_that_has_ended(room):
    gate, ended = asyncio.Event(), []
    hands = Hands(lambda: ended.append(True))
    hands.begin(A, "Start", gate.wait, room)
    assert set(hands.busy) == {A}
    gate.set()
    await hands.drain()
    assert (set(hands.busy), ended) == (set(), [True])


async def test_steps_wait_for_room(room):
    gate, order = asyncio.Event(), []

    async def first():
        await gate.wait()
        order.append("first")

    async def second():
        order.append("second")

    hands = Hands(lambda: None)
    hands.begin(A, "Start", first, room)
    hands.begin(B, "Start", second, room)
    await asyncio.sleep(0)
    assert order == []
    gate.set()
    await hands.drain()
    assert order == ["first", "second"]


@pytest.mark.parametrize("error", [Transient("away"), ValueError("a bug")])
async def test_after_trouble_the_same_waits_and_another_does_not(room, error, caplog):
    tried = []

    async def fails():
        tried.append("start")
        raise error

    async def works():
        tried.append("stop")

    hands = Hands(lambda: None, first=3600)
    for _ in range(3):
        hands.begin(A, "Start", fails, room)
        await hands.drain()
    hands.begin(A, "Stop", works, room)
    await hands.drain()
    assert tried == ["start", "stop"]
    assert "will try again" in caplog.text


async def test_what_is_too_early_is_looked_at_again_in_its_own_time_and_is_no_trouble(room, caplog):
    tried, seconds = [], [3600.0, 0.0, 0.0]

    async def early():
        tried.append(True)
        raise Later("it loads", seconds.pop())

    hands = Hands(lambda: None, first=3600)
    for _ in range(5):
        hands.begin(A, "RecordStarted", early, room)
        await hands.drain()
    assert (len(tried), caplog.text) == (3, "")
    hands.forget([])
    assert hands._not_before == {}


async def test_what_is_gone_is_forgotten(room):
    async def fails():
        raise Transient("away")

    async def works():
        tried.append(True)

    tried = []
    hands = Hands(lambda: None, first=3600)
    hands.begin(A, "Start", fails, room)
    await hands.drain()
    hands.forget([B])
    hands.begin(A, "Start", works, room)
    await hands.drain()
    assert tried == [True]


async def test_what_is_dropped_ends_whether_it_had_begun_or_not(room):
    hands = Hands(lambda: None)
    hands.begin(A, "Start", asyncio.Event().wait, room)
    await asyncio.sleep(0)
    hands.begin(B, "Start", asyncio.Event().wait, room)
    await hands.drop()
    assert set(hands.busy) == set()
