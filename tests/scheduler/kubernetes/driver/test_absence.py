"""What pictures lack, and what the cluster itself says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Phase
from services.scheduler.drivers.kubernetes import kinds, pictures
from services.scheduler.drivers.kubernetes.kinds import Kind
from services.scheduler.drivers.kubernetes.manifests import names
from shared.errors import Transient
from tests.scheduler.kubernetes.driver.scene import Scene
from tests.scheduler.kubernetes.fake import Fault


def without(label: str) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        del found["metadata"]["labels"][label]

    return change


@pytest.mark.parametrize("label", [names.PLATFORM, names.REPLICA])
@pytest.mark.parametrize("kind", [kinds.DEPLOYMENTS, kinds.CONFIGMAPS])
async def test_k09_who_takes_a_label_away_blinds_nobody_and_ends_nothing(
    on: Scene, kind: Kind, label: str
) -> None:
    before = await on.ready()
    uid = on.one(kinds.PODS)["metadata"]["uid"]
    on.edit(kind, without(label))
    seen = await on.until(lambda seen: seen.drift != "")
    assert seen.drift == f"its {kind.name}: metadata.labels.{label} was removed"
    assert seen.addresses == before.addresses
    await on.driver.start(on.work)
    await on.until(lambda seen: seen.drift == "" and seen.phase is Phase.READY)
    assert label in on.one(kind)["metadata"]["labels"]
    assert on.one(kinds.PODS)["metadata"]["uid"] == uid


async def test_k09_what_lost_its_labels_is_ended_all_the_same(on: Scene) -> None:
    await on.ready()
    for kind in (kinds.DEPLOYMENTS, kinds.CONFIGMAPS):
        on.edit(kind, without(names.PLATFORM))
    await on.driver.stop(on.replica, 1)
    for kind in (kinds.DEPLOYMENTS, kinds.PODS, kinds.CONFIGMAPS):
        assert on.all(kind) == []
    assert await on.driver.observe() == {}


async def test_k07_while_the_api_server_is_away_nothing_is_decided_and_then_all_is_known(
    on: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on.ready(msgspec.structs.replace(on.work, copies=2))
    uids = {pod["metadata"]["uid"] for pod in on.all(kinds.PODS)}
    monkeypatch.setattr(pictures, "FRESH", 0.2)
    on.fake.trouble.arm(Fault.UNAVAILABLE, times=100_000)
    on.fake.trouble.arm(Fault.CUT)
    async with asyncio.timeout(10):
        while True:
            try:
                await on.driver.observe()
            except Transient:
                break
            await asyncio.sleep(0.02)
    with pytest.raises(Transient):
        await on.driver.inventory()
    gone = on.all(kinds.PODS)[0]["metadata"]
    on.fake.remove(kinds.PODS, gone["name"])  # a machine that fails meanwhile
    monkeypatch.setattr(pictures, "FRESH", 60.0)
    before = on.writes()
    on.fake.trouble.calm()
    async with asyncio.timeout(20):
        while {pod.metadata.uid for pod in on.driver._pictures.pods.objects.values()} == uids:
            await asyncio.sleep(0.02)
    await on.until(lambda seen: len(seen.addresses) == 2 and seen.phase is Phase.READY)
    left = {pod["metadata"]["uid"] for pod in on.all(kinds.PODS)}
    assert uids - {gone["uid"]} < left, "nothing healthy was ended"
    assert on.writes() == before


async def test_a_look_says_how_it_is_whatever_pictures_show(on: Scene) -> None:
    assert await on.driver.look(on.replica) is None
    await on.ready(msgspec.structs.replace(on.work, copies=2))
    for informer in (on.driver._pictures.pods, on.driver._pictures.deployments):
        assert isinstance(informer.objects, dict)
        informer.objects.clear()
    look = await on.driver.look(on.replica)
    assert look is not None
    assert (look.phase, look.copies, look.wanted) == (Phase.READY, 2, 2)


async def test_what_was_looked_at_is_told_of_from_then_on(on: Scene) -> None:
    await on.ready()
    async with on.opened() as other:
        for informer in (
            other._pictures.anchors,
            other._pictures.deployments,
            other._pictures.pods,
        ):
            assert isinstance(informer.objects, dict)
            informer.objects.clear()
        other._pictures._held = None
        assert await other.observe() == {}
        assert await other.look(on.replica) is not None
        with pytest.raises(Transient, match="out of sight"):
            await other.observe()


async def test_a_look_waits_until_the_cluster_has_acted(on: Scene) -> None:
    await on.ready()

    def unheard(deployment: Any) -> None:
        deployment["status"]["observedGeneration"] -= 1

    on.fake.controllers.step = lambda: None  # type: ignore[method-assign]
    on.edit(kinds.DEPLOYMENTS, unheard)
    with pytest.raises(Transient, match="has still to act"):
        await on.driver.look(on.replica)


async def test_pods_that_a_late_controller_made_are_ended_before_a_stop_returns(on: Scene) -> None:
    """It hears of a Deployment and makes its pods, when that has just been deleted."""
    on.fake.controllers.step = lambda: None  # type: ignore[method-assign]
    await on.driver.start(on.work)
    [deployment] = on.all(kinds.DEPLOYMENTS)
    made = []

    def late() -> None:
        if not made and not on.all(kinds.DEPLOYMENTS):
            on.fake.controllers._start(deployment, "late")
            made.extend(on.all(kinds.PODS))

    on.fake.controllers.step = late  # type: ignore[method-assign]
    await on.driver.stop(on.replica, 0)
    assert len(made) == 1
    assert on.all(kinds.PODS) == []
