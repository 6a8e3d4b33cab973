"""What replicas share is there while they need it, and goes when none has for long."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from services.scheduler.drivers.kubernetes import common, kinds
from services.scheduler.drivers.kubernetes.common import KEPT, surplus
from services.scheduler.drivers.kubernetes.objects import Pod
from services.scheduler.drivers.kubernetes.view import Held
from tests.scheduler.kubernetes.driver.scene import Scene


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "UNUSED", 0.0)


def login(on: Scene, name: str) -> None:
    labels = {"slipway.dev/platform": "ours"}
    on.fake.add(kinds.SECRETS, name, metadata={"labels": labels}, type="x")


async def test_what_a_replica_needs_stays(on: Scene, at_once: None) -> None:
    await on.ready()
    login(on, "used")

    def pulled(deployment: Any) -> None:
        deployment["spec"]["template"]["spec"]["imagePullSecrets"] = [{"name": "used"}]

    on.edit(kinds.DEPLOYMENTS, pulled)
    async with asyncio.timeout(10):
        while "used" not in str(on.driver._pictures.of(on.replica).deployment):
            await asyncio.sleep(0.02)
    for _ in range(3):
        await on.driver.tidy()
    assert len(on.all(kinds.NETWORKPOLICIES)) == 1
    assert [each["metadata"]["name"] for each in on.all(kinds.SECRETS)] == [
        str(on.replica),
        "used",
    ]


async def test_what_nobody_needs_any_more_goes_and_comes_again(on: Scene, at_once: None) -> None:
    await on.ready()
    login(on, "unused")
    await on.driver.stop(on.replica, 1)
    await on.driver.tidy()
    assert on.all(kinds.NETWORKPOLICIES) == []
    assert "unused" not in [each["metadata"]["name"] for each in on.all(kinds.SECRETS)]
    await on.ready()
    assert len(on.all(kinds.NETWORKPOLICIES)) == 1


async def test_what_is_unused_for_a_moment_stays(on: Scene) -> None:
    await on.ready()
    await on.driver.stop(on.replica, 1)
    for _ in range(3):
        await on.driver.tidy()
    assert len(on.all(kinds.NETWORKPOLICIES)) == 1


async def test_what_is_of_others_is_not_touched(on: Scene, at_once: None) -> None:
    on.fake.add(kinds.NETWORKPOLICIES, "theirs", metadata={"labels": {"slipway.dev/project": "x"}})
    on.fake.add(kinds.SECRETS, "theirs", type="x")
    async with on.opened(platform="theirs") as other:
        await on.ready()
        await other.tidy()
    await on.driver.tidy()
    assert len(on.all(kinds.NETWORKPOLICIES)) == 2
    assert len(on.all(kinds.SECRETS)) == 2


async def test_a_start_and_a_sweep_at_once_leave_the_policy(on: Scene, at_once: None) -> None:
    for _ in range(5):
        await asyncio.gather(on.driver.start(on.work), *(on.driver.tidy() for _ in range(8)))
        assert len(on.all(kinds.NETWORKPOLICIES)) == 1
        await on.driver.stop(on.replica, 0)
        await on.driver.tidy()
        assert on.all(kinds.NETWORKPOLICIES) == []


def test_the_last_failed_pods_are_kept_for_people() -> None:
    def pod(number: int, phase: str) -> Pod:
        at = f"2026-01-01T00:00:{number:02}Z"
        meta = {"name": f"a-{number}", "creationTimestamp": at}
        return msgspec.convert({"metadata": meta, "status": {"phase": phase}}, Pod)

    failed = [pod(number, "Failed") for number in range(10)]
    held = Held(pods=(*reversed(failed), pod(11, "Running")))
    assert surplus([held, Held()]) == failed[: 10 - KEPT]
