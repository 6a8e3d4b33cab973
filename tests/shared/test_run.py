"""Start everything, wait to be told to stop, drain, leave."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from shared.errors import Transient
from shared.run import Loop, chain, every, pause, run


def tell(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_lets_every_loop_finish(number: signal.Signals) -> None:
    finished = []

    def loop(name: str) -> Loop:
        async def work(stopping: asyncio.Event) -> None:
            await stopping.wait()
            await asyncio.sleep(0)
            finished.append(name)

        return work

    asyncio.get_running_loop().call_soon(tell, number)
    await run(loop("a"), loop("b"))
    assert sorted(finished) == ["a", "b"]


async def test_a_loop_that_does_not_finish_in_time_is_cut_off() -> None:
    cut = asyncio.Event()

    async def stubborn(_: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    asyncio.get_running_loop().call_soon(tell)
    await run(stubborn, grace=0.01)
    assert cut.is_set()


async def test_a_loop_that_raises_takes_the_process_down() -> None:
    async def breaks(_: asyncio.Event) -> None:
        raise ZeroDivisionError

    async def works(stopping: asyncio.Event) -> None:
        await stopping.wait()

    with pytest.raises(ExceptionGroup) as caught:
        await run(works, breaks)
    assert caught.group_contains(ZeroDivisionError)


async def test_a_loop_that_ends_too_early_is_a_fault_and_not_a_silence() -> None:
    async def returns(_: asyncio.Event) -> None: ...

    with pytest.raises(ExceptionGroup) as caught:
        await run(returns)
    assert caught.group_contains(RuntimeError, match="before it was told to stop")


async def test_every_goes_on_through_passing_trouble_and_ends_when_told() -> None:
    stopping, calls = asyncio.Event(), 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            stopping.set()
        raise Transient("away")

    await every(0.001, work)(stopping)
    assert calls == 3


async def test_every_does_not_hide_a_fault() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await every(0.001, work)(asyncio.Event())


async def test_a_pause_ends_early_when_told_to_stop() -> None:
    stopping = asyncio.Event()
    async with asyncio.timeout(5):
        asyncio.get_running_loop().call_soon(stopping.set)
        await pause(600, stopping)
        await pause(0.001, asyncio.Event())


async def test_one_event_sets_another() -> None:
    first, then = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_soon(first.set)
    await chain(first, then)
    assert then.is_set()
