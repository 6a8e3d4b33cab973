"""Virtual time jumps from timer to timer, and stands still while the world outside is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.simulation.loop import Stuck, VirtualLoop


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        yield runner


def test_a_day_passes_at_once_and_exactly(runner):
    async def day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    assert runner.run(day()) == 86_400


def test_timers_come_in_their_order(runner):
    heard: list[float] = []

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        heard.append(seconds)

    async def all_of_them() -> None:
        await asyncio.gather(*(after(seconds) for seconds in (3.0, 0.5, 2.0, 1.0)))

    runner.run(all_of_them())
    assert heard == [0.5, 1.0, 2.0, 3.0]


def test_no_time_passes_while_the_world_outside_is_asked(runner):
    async def asked() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        early = asyncio.create_task(asyncio.sleep(0.001))
        with loop.outside():
            process = await asyncio.create_subprocess_exec(
                "sh", "-c", "sleep 0.05; echo here", stdout=asyncio.subprocess.PIPE
            )
            said, _ = await process.communicate()
        assert not early.done()
        await early
        return said.decode().strip(), loop.time()

    assert runner.run(asked()) == ("here", 0.001)


def test_waiting_for_what_never_comes_is_told(runner):
    with pytest.raises(Stuck):
        runner.run(asyncio.Event().wait())
