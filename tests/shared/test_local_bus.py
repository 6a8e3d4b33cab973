"""What the local bus does when nobody keeps up."""

from __future__ import annotations

import asyncio

from shared.bus.local import LocalBus
from shared.events import Event
from tests.integration.buses import event, ids


async def nothing(_: Event) -> None: ...


async def test_a_full_queue_that_lasts_refuses_and_what_it_has_stays() -> None:
    bus = LocalBus(capacity=3)
    bus.subscribe("one", ["#"], nothing)
    told = [event(str(n)) for n in range(5)]
    async with bus.announcer() as announce:
        assert await announce(told) == ids(told[:3])


async def test_a_full_queue_that_does_not_last_drops_its_oldest() -> None:
    bus, seen, finish = LocalBus(capacity=3), list[str](), asyncio.Event()

    async def slow(given: Event) -> None:
        seen.append(given.id)
        await finish.wait()

    stopping = asyncio.Event()

    async def run() -> None:
        await bus.subscribe("one", ["#"], slow, at_once=1, lasting=False)(stopping)

    told = [event(str(n)) for n in range(6)]
    async with bus.announcer() as announce, asyncio.TaskGroup() as group:
        group.create_task(run())
        await asyncio.sleep(0)
        await announce(told[:1])
        while not seen:
            await asyncio.sleep(0)
        assert await announce(told[1:]) == ids(told[1:])
        finish.set()
        while len(seen) < 4:
            await asyncio.sleep(0)
        stopping.set()
    assert seen == ids([told[0], *told[3:]])


async def test_what_no_queue_wants_counts_as_announced() -> None:
    async with LocalBus().announcer() as announce:
        assert await announce([told := event()]) == [told.id]
