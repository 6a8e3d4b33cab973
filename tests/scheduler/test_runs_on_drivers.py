"""The same questions about runs for every driver: what `services/scheduler/driver.py` promises."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.driver import Phase, Started
from services.scheduler.drivers.fake import FakeDriver
from shared.errors import Invalid
from tests.scheduler.targets import Kind, Target


@pytest.fixture(params=["fake", "namespaces", "plain", "container"])
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def test_a_run_ends_with_its_exit_code_and_is_not_started_again(on: Target) -> None:
    work = await on.running("echo out; exit 3")
    if isinstance(on.driver, FakeDriver):
        assert await on.driver.start(work) == Started()
        on.driver.say(work.replica, "out")
    seen = await on.finished(work, 3)
    assert (seen.exit_code, seen.restarts, seen.addresses) == (3, 0, ())
    assert await on.texts(work.replica, 1) == ["out"]
    assert await on.driver.start(work) == Started()
    assert (await on.driver.observe())[work.replica] == seen
    assert await on.driver.look(work.replica) == seen


async def test_a_run_is_ready_while_it_runs_and_can_be_stopped(on: Target) -> None:
    work = await on.running("sleep 600")
    assert await on.driver.start(work) == Started()
    seen = await on.until(work.replica, Phase.READY)
    assert seen.addresses == ()
    await on.driver.stop(work.replica, 5)
    assert await on.driver.observe() == {}


async def test_several_lines_stop_at_the_first_that_fails(on: Target) -> None:
    work = await on.running("true", "(exit 4)", "echo never")
    assert (await on.finished(work, 4)).exit_code == 4


async def test_what_a_run_leaves_is_the_same_whenever_it_is_asked_for(on: Target) -> None:
    work = await on.running(
        'cd "$SLIPWAY_OUTPUTS"', "mkdir -p a/b", "echo one >a/b/c", "echo two >two; ln -s two link"
    )
    if isinstance(on.driver, FakeDriver):
        on.driver.left[work.replica] = b"as it is"
    assert (await on.finished(work)).exit_code == 0
    first = [piece async for piece in on.driver.outputs(work.replica, 1 << 20)]
    assert [piece async for piece in on.driver.outputs(work.replica, 1 << 20)] == first
    if not isinstance(on.driver, FakeDriver):
        found = await on.outputs(work.replica)
        assert found == {"a/": b"", "a/b/": b"", "a/b/c": b"one\n", "two": b"two\n"}


async def test_what_leaves_nothing_has_no_outputs(on: Target) -> None:
    work = await on.running("true")
    await on.finished(work)
    assert await on.outputs(work.replica) == {}


async def test_more_than_is_kept_is_refused(on: Target) -> None:
    work = await on.running('head -c 3000 /dev/zero >"$SLIPWAY_OUTPUTS/much"')
    if isinstance(on.driver, FakeDriver):
        on.driver.left[work.replica] = bytes(3000)
    await on.finished(work)
    with pytest.raises(Invalid, match="more than the 2000 bytes"):
        await on.outputs(work.replica, 2000)


async def test_starting_a_run_many_times_at_once_runs_it_once(on: Target) -> None:
    work = await on.running('echo ran >>"$SLIPWAY_OUTPUTS/ran"')
    await asyncio.gather(*(on.driver.start(work) for _ in range(4)))
    await on.finished(work)
    if not isinstance(on.driver, FakeDriver):
        assert await on.outputs(work.replica) == {"ran": b"ran\n"}
