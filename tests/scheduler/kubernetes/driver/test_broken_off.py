"""A scheduler that is killed between any two of its calls, and another that begins anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.kubernetes import kinds
from services.scheduler.drivers.kubernetes.driver import KubernetesDriver
from services.scheduler.drivers.kubernetes.wire import Call, Wire
from shared.endpoint import Autoscaling
from tests.scheduler.kubernetes.driver.scene import Scene

MADE = (kinds.CONFIGMAPS, kinds.SECRETS, kinds.SERVICES, kinds.DEPLOYMENTS, kinds.PODS)
MOST = 12  # calls of a step, and some more


class Killed(BaseException):
    """Nobody catches it, as nobody catches a SIGKILL."""


async def killed(
    monkeypatch: pytest.MonkeyPatch, number: int, done: bool, step: Callable[[], Awaitable[Any]]
) -> bool:
    """Whether it was: before call `number` was sent, or when it was `done` and before its answer."""
    calls = 0
    once = Wire._once

    async def limited(self: Wire, call: Call) -> bytes:
        nonlocal calls
        calls += 1
        if calls > number or (calls == number and not done):
            raise Killed
        answer = await once(self, call)
        if calls == number:
            raise Killed
        return answer

    monkeypatch.setattr(Wire, "_once", limited)
    try:
        await step()
    except Killed:
        return True
    finally:
        monkeypatch.setattr(Wire, "_once", once)
    return False


async def nothing(on: Scene) -> None:
    async with asyncio.timeout(10):  # the garbage collector's
        while any(on.all(kind) for kind in MADE):
            await asyncio.sleep(0.02)


async def again(driver: KubernetesDriver, on: Scene, copies: int) -> None:
    """What a scheduler does whose table says that it shall run."""
    on.driver = driver
    await on.ready(msgspec.structs.replace(on.work, copies=copies))
    seen = await on.until(lambda seen: seen.copies == copies)
    assert (seen.phase, seen.wanted, seen.drift) == (Phase.READY, copies, "")
    assert [len(on.all(kind)) for kind in MADE] == [1, 1, 1, 1, copies]


@pytest.mark.parametrize("done", [False, True])
async def test_s03_s04_a_start_that_broke_off_is_finished_once(
    on: Scene, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    first = on.driver
    for number in range(1, MOST):
        was = await killed(monkeypatch, number, done, lambda: first.start(on.work))
        async with on.opened() as other:
            await again(other, on, 1)
            await other.stop(on.replica, 0)
            await nothing(on)
        on.driver = first
        if not was:
            return
    raise AssertionError("more calls than were thought")


@pytest.mark.parametrize("done", [False, True])
async def test_an_end_that_broke_off_is_finished(
    on: Scene, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    for number in range(1, MOST):
        await on.ready()
        was = await killed(monkeypatch, number, done, lambda: on.driver.stop(on.replica, 0))
        async with on.opened() as other:
            await other.stop(on.replica, 0)
            await nothing(on)
            assert await other.observe() == {}
        if not was:
            return
    raise AssertionError("more calls than were thought")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
async def test_a_change_of_copies_that_broke_off_is_finished(
    on: Scene, monkeypatch: pytest.MonkeyPatch, before: int, after: int
) -> None:
    work = msgspec.structs.replace(on.work, copies=after)
    for number in range(1, MOST):
        await on.ready(msgspec.structs.replace(on.work, copies=before))
        was = await killed(monkeypatch, number, True, lambda: on.driver.start(work))
        first = on.driver
        async with on.opened() as other:
            await again(other, on, after)
        on.driver = first
        if not was:
            return
    raise AssertionError("more calls than were thought")


async def test_s16_a_second_look_writes_nothing_and_asks_for_little(on: Scene) -> None:
    """With several copies, one that scales itself, and one with GPUs."""
    on.fake.kubelet.node("gpus", gpus=2, labels={"nvidia.com/gpu.product": "Tesla-T4"})
    async with asyncio.timeout(10):
        while len(gpus := await on.driver.inventory()) < 2:
            await asyncio.sleep(0.02)
    await on.ready(msgspec.structs.replace(on.work, copies=3))
    others = [
        {"devices": (gpus[0].device, gpus[1].device), "copies": 2},
        {"endpoint": msgspec.structs.replace(on.work.endpoint, autoscaling=Autoscaling(max=2))},
    ]
    for number, more in enumerate(others, 2):
        other = msgspec.structs.replace(on.work.replica, attempt=number)
        await on.ready(msgspec.structs.replace(on.work, replica=other, **more))
    async with asyncio.timeout(10):
        while any(seen.drift for seen in (await on.driver.observe()).values()):
            await asyncio.sleep(0.02)
    version, before = on.fake.store.version, dict(on.driver._cluster.calls)
    for _ in range(20):
        assert {seen.drift for seen in (await on.driver.observe()).values()} == {""}
        await on.driver.inventory()
    assert on.fake.store.version == version
    assert dict(on.driver._cluster.calls) == before, "pictures have it all"
