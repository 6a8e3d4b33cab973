"""The gate, also under random arrivals, departures and cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from services.router.gate import Gate
from shared.endpoint import Serving


def gate(concurrency: int = 1, waiting: int = 10, wait_seconds: float = 60.0) -> Gate:
    return Gate(Serving(concurrency=concurrency, waiting=waiting, wait_seconds=wait_seconds))


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_too_many_waits_and_is_let_in_when_a_place_is_free() -> None:
    found = gate()
    assert await found.enter()
    second = asyncio.create_task(found.enter())
    await turns()
    assert not second.done()
    found.leave(0.1)
    assert await second
    assert found.inside == 1


async def test_those_who_wait_are_let_in_in_order_and_nobody_overtakes() -> None:
    found = gate()
    order: list[int] = []

    async def visit(number: int) -> None:
        async with found.slot() as admitted:
            assert admitted
            order.append(number)
            await turns()

    await asyncio.gather(*(visit(number) for number in range(8)))
    assert order == list(range(8))
    assert found.idle


async def test_when_no_more_may_wait_the_answer_is_no_at_once() -> None:
    found = gate(waiting=1)
    assert await found.enter()
    waiting = asyncio.create_task(found.enter())
    await turns()
    assert not await found.enter()
    found.leave(0)
    assert await waiting


async def test_nobody_waits_longer_than_allowed() -> None:
    found = gate(wait_seconds=0.01)
    assert await found.enter()
    assert not await found.enter()
    assert found.queued == 0
    found.leave(0)
    assert found.idle


async def test_a_place_handed_to_somebody_who_is_cancelled_goes_to_the_next() -> None:
    found = gate()
    assert await found.enter()
    first, second = (asyncio.create_task(found.enter()) for _ in range(2))
    await turns()
    found.leave(0)  # hands the place to the first ...
    first.cancel()  # ... who is cancelled before it can take it
    assert await second
    assert first.cancelled()
    found.leave(0)
    assert found.idle


def test_the_hint_grows_with_the_queue_and_is_at_least_a_second() -> None:
    async def scenario() -> None:
        found = gate(concurrency=2)
        assert found.retry_after == 1
        for _ in range(50):
            assert await found.enter()
            found.leave(4.0)
        assert found.retry_after == 2
        assert await found.enter()
        assert await found.enter()
        waiting = [asyncio.create_task(found.enter()) for _ in range(5)]
        await turns()
        assert found.retry_after == 12
        for task in waiting:
            task.cancel()

    asyncio.run(scenario())


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "cancel", "turn"]), st.integers(0, 30)),
    max_size=60,
)


@given(STEPS, st.integers(1, 3), st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_there_are_never_too_many_inside_and_no_place_is_ever_lost(
    steps: list[Step], places: int, waiting: int
) -> None:
    asyncio.run(_random_life(steps, places, waiting))


async def _random_life(steps: list[Step], places: int, waiting: int) -> None:
    found = gate(places, waiting)
    inside = 0
    tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []

    async def visit(leave: asyncio.Event) -> None:
        nonlocal inside
        async with found.slot() as admitted:
            if not admitted:
                return
            inside += 1
            try:
                assert inside <= places
                await leave.wait()
            finally:
                inside -= 1

    def come(_: int) -> None:
        leave = asyncio.Event()
        tasks.append((asyncio.create_task(visit(leave)), leave))

    def leave(number: int) -> None:
        if tasks:
            tasks[number % len(tasks)][1].set()

    def cancel(number: int) -> None:
        if tasks:
            tasks[number % len(tasks)][0].cancel()

    acts: dict[str, Callable[[int], None]] = {"come": come, "leave": leave, "cancel": cancel}
    for name, number in steps:
        if name == "turn":
            await asyncio.sleep(0)
        else:
            acts[name](number)
        assert found.inside <= places
        assert found.queued <= waiting
    await turns(3 + 3 * len(tasks))  # who may leave at once hands on to the next, one by one
    assert found.inside == inside
    assert found.queued == 0 or found.inside == places
    for _, event in tasks:
        event.set()
    await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
    for task, _ in tasks:
        assert task.cancelled() or task.exception() is None
    assert found.idle
