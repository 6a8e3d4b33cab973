"""Two schedulers at once: one was paused, took too long to notice that another acts, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused, Started
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.driver import KubernetesDriver
from shared.errors import Transient
from tests.scheduler.kubernetes.driver.scene import Scene

MADE = (kinds.CONFIGMAPS, kinds.SECRETS, kinds.SERVICES, kinds.DEPLOYMENTS, kinds.PODS)


@asynccontextmanager
async def paused(
    driver: KubernetesDriver, scene: Scene, copies: int
) -> AsyncIterator[asyncio.Task[Started | Refused]]:
    """A start that stands still before its first word to the cluster, while this lasts."""
    here, on = asyncio.Event(), asyncio.Event()
    config = driver._maker._images.config

    async def slow(work):  # type: ignore[no-untyped-def]
        here.set()
        await on.wait()
        return await config(work)

    driver._maker._images.config = slow  # type: ignore[method-assign]
    starting = asyncio.create_task(driver.start(msgspec.structs.replace(scene.work, copies=copies)))
    await here.wait()
    yield starting
    on.set()
    await asyncio.wait({starting})


async def nothing(on: Scene) -> None:
    async with asyncio.timeout(10):  # the garbage collector's
        while any(on.all(kind) for kind in MADE):
            await asyncio.sleep(0.02)


async def test_k13_who_was_paused_makes_nothing_again_that_another_ended(on: Scene) -> None:
    await on.ready()
    async with on.opened() as other:
        async with paused(on.driver, on, copies=3) as adjusting:
            await other.stop(on.replica, 1)
        with pytest.raises(Transient, match="uid mismatch"):
            adjusting.result()
        await nothing(on)


async def test_k13_who_was_paused_changes_nothing_of_what_another_made_anew(on: Scene) -> None:
    await on.ready()
    async with on.opened() as other:
        async with paused(on.driver, on, copies=3) as adjusting:
            await other.stop(on.replica, 1)
            await other.start(on.work)
            truth = on.fake.truth(kinds.CONFIGMAPS)
        with pytest.raises(Transient, match="metadata"):
            adjusting.result()
        assert on.fake.truth(kinds.CONFIGMAPS) == truth
        assert on.one(kinds.DEPLOYMENTS)["spec"]["replicas"] == 1


async def test_k13_what_a_late_start_made_is_seen_and_ended_by_who_acts(on: Scene) -> None:
    async with on.opened() as other:
        async with paused(on.driver, on, copies=1) as starting:
            await other.stop(on.replica, 1)  # its job was stopped
        assert isinstance(starting.result(), Started)
        async with asyncio.timeout(10):
            while on.replica not in await other.observe():
                await asyncio.sleep(0.02)
        await other.stop(on.replica, 1)
        await nothing(on)


async def test_k13_both_start_it_and_there_is_one(on: Scene) -> None:
    async with on.opened() as other:
        async with paused(on.driver, on, copies=2) as starting:
            await other.start(on.work)
        assert isinstance(starting.result(), Started)
        await other.start(on.work)
        seen = await on.until(lambda seen: seen.phase is Phase.READY and seen.copies == 1)
        assert seen.wanted == 1
        assert len(on.all(kinds.DEPLOYMENTS)) == 1
