"""The same questions for every driver: what `services/scheduler/driver.py` promises."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.scheduler.driver import Ended, Phase, Refused, Replica, Started
from services.scheduler.drivers.fake import FakeDriver
from shared.ids import JobId
from tests.scheduler.targets import Kind, Target


@pytest.fixture(params=["fake", "namespaces", "plain", "container"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def test_what_is_started_becomes_ready(on: Target) -> None:
    work = await on.serving()
    address = await on.started(work)
    seen = await on.until(work.replica, Phase.READY)
    assert seen.addresses == (address,)
    assert seen.restarts == 0


async def test_starting_twice_starts_once(on: Target) -> None:
    work = await on.serving()
    first = await on.started(work)
    assert await on.started(work) == first
    seen = await on.until(work.replica, Phase.READY)
    assert await on.driver.start(work) == Started((first,))
    assert (await on.driver.observe())[work.replica] == seen


async def test_starting_many_times_at_once_starts_once(on: Target) -> None:
    work = await on.serving()
    outcomes = await asyncio.gather(*(on.driver.start(work) for _ in range(4)))
    address = await on.started(work)
    assert all(outcome in (Started((address,)), Started()) for outcome in outcomes)
    assert list(await on.driver.observe()) == [work.replica]


async def test_stopping_ends_it_and_forgets_it(on: Target) -> None:
    work = await on.serving()
    await on.started(work)
    await on.driver.stop(work.replica, 5)
    assert await on.driver.observe() == {}
    assert list(await on.driver.logs(work.replica, 0)) == []


async def test_what_was_stopped_never_begins_again_under_its_name(on: Target) -> None:
    """As when a scheduler stood still in its start while another gave the GPUs to somebody else."""
    work, never = await on.serving(), await on.serving(attempt=2)
    await on.started(work)
    for replica in (work.replica, never.replica):
        await on.driver.stop(replica, 5)
    for late in (work, never):
        with pytest.raises(Ended):
            await on.driver.start(late)
    assert await on.driver.observe() == {}
    assert await on.started(await on.serving(attempt=3))


async def test_stopping_what_is_gone_or_never_was_succeeds(on: Target) -> None:
    await on.driver.stop(Replica(JobId("jnobody000000"), 1), 5)
    work = await on.serving()
    await on.started(work)
    await asyncio.gather(*(on.driver.stop(work.replica, 5) for _ in range(3)))
    await on.driver.stop(work.replica, 5)
    assert await on.driver.observe() == {}


async def test_attempts_of_a_job_are_replicas_of_their_own(on: Target) -> None:
    first, second = await on.serving(attempt=1), await on.serving(attempt=2)
    assert await on.started(first) != await on.started(second)
    await on.driver.stop(first.replica, 5)
    assert list(await on.driver.observe()) == [second.replica]


async def test_an_image_that_is_not_there_is_refused(on: Target) -> None:
    work = await on.serving()
    missing = "sha256:" + "0" * 64
    if isinstance(on.driver, FakeDriver):
        on.driver.refuses[missing] = "no such image"
    refused = await on.driver.start(msgspec.structs.replace(work, image=missing))
    assert isinstance(refused, Refused)
    assert refused.reason
    assert await on.driver.observe() == {}


async def test_what_prints_has_numbered_lines(on: Target) -> None:
    work = await on.shell("echo one; echo two; echo three; sleep 600")
    await on.started(work)
    if isinstance(on.driver, FakeDriver):
        on.driver.say(work.replica, "one", "two", "three")
    assert await on.texts(work.replica, 3) == ["one", "two", "three"]
    lines = await on.driver.logs(work.replica, 0)
    assert [line.line for line in lines] == [1, 2, 3]
    assert [line.text for line in await on.driver.logs(work.replica, 2)] == ["three"]
    assert list(await on.driver.logs(work.replica, 3)) == []


async def test_a_change_is_announced(on: Target) -> None:
    work = await on.serving()
    on.driver.changed.clear()
    await on.started(work)
    async with asyncio.timeout(10):
        await on.driver.changed.wait()


async def test_a_start_that_nobody_waits_for_is_finished(on: Target) -> None:
    work = await on.serving()
    starting = asyncio.create_task(on.driver.start(work))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await on.started(work)
    await on.until(work.replica, Phase.READY)


async def test_L02_a_grandchild_that_holds_its_output_delays_no_stop(on: Target) -> None:
    held = "trap '' TERM; while :; do sleep 600; done"
    work = await on.shell(f'(setsid sh -c "{held}" &); (sh -c "{held}" &); sleep 600')
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    grace = 1.0
    async with asyncio.timeout(grace + 5):
        await on.driver.stop(work.replica, grace)
    assert await on.driver.observe() == {}
