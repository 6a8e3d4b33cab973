"""What the driver makes of what a real cluster does with replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused
from services.scheduler.drivers.kubernetes.open import open_kubernetes
from shared.endpoint import Range, Resources
from tests.beds.kubernetes.bed import Cluster
from tests.cluster.target import ClusterTarget, settings, target
from tests.cluster.test_drivers import pushed
from tests.scheduler.container.bed import Bed

__all__ = ["pushed"]

EATER = "import time; time.sleep(1); kept = b'x' * (1 << 30); time.sleep(60)"


@pytest.fixture
async def on(
    ground: Cluster, pushed: tuple[Bed, str], tmp_path: Path
) -> AsyncIterator[ClusterTarget]:
    bed, image = pushed
    async with target(ground, bed, image, tmp_path) as opened:
        yield opened


async def test_a_server_that_fails_is_crashing_and_its_lives_are_told_apart(
    on: ClusterTarget,
) -> None:
    work = await on.shell("echo begun; exit 3")
    await on.driver.start(work)
    await on.texts(work.replica, 1)  # a node keeps the last two lives alone
    seen = await on.until(work.replica, lambda seen: seen.failures >= 3)
    assert (seen.phase, seen.exit_code) == (Phase.CRASHING, 3)
    assert seen.reason == "its server ended with exit code 3"
    assert await on.texts(work.replica, 3) == ["begun"] * 3
    lines = await on.driver.logs(work.replica, 0)
    assert [line.line for line in lines] == list(range(1, len(lines) + 1))
    assert [line.source.partition("/")[2] for line in lines[:3]] == ["0", "1", "2"]
    assert [line.stamp for line in lines] == sorted(line.stamp for line in lines)


async def test_a_server_that_can_never_start_says_why(on: ClusterTarget) -> None:
    work = await on.shell("echo 'slipway: there is no module app' >&2; exit 78")
    await on.driver.start(work)
    seen = await on.until(work.replica, Phase.BROKEN)
    assert seen.reason == "there is no module app"


async def test_a_server_that_takes_too_much_memory_is_told_so(on: ClusterTarget) -> None:
    resources = Resources(memory=Range(max=64))
    work = await on.made("python", "-c", EATER, readiness="none", resources=resources)
    await on.driver.start(work)
    seen = await on.until(work.replica, lambda seen: seen.exit_code is not None)
    assert seen.phase is Phase.CRASHING
    assert "killed" in seen.reason


async def test_a_server_that_ends_well_is_started_again_in_place(on: ClusterTarget) -> None:
    work = await on.shell("echo life; sleep 0.3")
    await on.driver.start(work)
    assert await on.texts(work.replica, 3) == ["life"] * 3
    seen = (await on.driver.observe())[work.replica]
    assert (seen.failures, seen.restarts) == (0, 0)


async def test_what_it_prints_when_it_ends_is_not_lost(on: ClusterTarget) -> None:
    # what sh has to say of its sleep's end comes another way, and so at any place
    loop = "while :; do sleep 0.1; done"
    work = await on.shell(f"exec 2>/dev/null; trap 'echo bye; exit 0' TERM; echo hello; {loop}")
    await on.driver.start(work)
    assert await on.texts(work.replica, 1) == ["hello"]
    stopping = asyncio.create_task(on.driver.stop(work.replica, 5))
    found: list[str] = []
    while not stopping.done():
        lines = await on.driver.logs(work.replica, len(found))
        found += [line.text for line in lines]
        await asyncio.sleep(0.1)
    await stopping
    assert found == ["hello", "bye"]


async def test_more_copies_and_fewer(on: ClusterTarget) -> None:
    work = await on.serving(copies=2)
    await on.driver.start(work)
    seen = await on.until(work.replica, lambda seen: len(seen.addresses) == 2)
    for address in seen.addresses:
        assert await on.get(work.replica, address, "/hello") == b'"hello"'
    await on.driver.start(msgspec.structs.replace(work, copies=1))
    fewer = await on.until(work.replica, lambda seen: seen.copies == 1)
    assert fewer.wanted == 1
    assert set(fewer.addresses) < set(seen.addresses)


async def test_k09_hands_are_noticed_and_put_right(on: ClusterTarget) -> None:
    work = await on.serving()
    await on.started(work)
    seen = await on.until(work.replica, Phase.READY)
    assert (seen.drift, seen.wanted) == ("", 1)
    name = f"deployment/{work.replica}"
    await on.kubectl("set", "image", name, "server=somebody/elses:latest")
    seen = await on.until(work.replica, lambda seen: seen.drift != "")
    assert "server.image was changed" in seen.drift
    await on.driver.start(work)
    await on.until(work.replica, lambda seen: seen.drift == "" and seen.copies == 1)
    await on.kubectl("delete", "service", str(work.replica))
    await on.until(work.replica, lambda seen: seen.drift == "its Service is gone")
    await on.kubectl("delete", name)
    seen = await on.until(work.replica, Phase.GONE)
    assert "its Deployment is" in seen.reason


async def test_a_pod_that_is_deleted_by_hand_is_followed_by_another(on: ClusterTarget) -> None:
    work = await on.serving()
    first = await on.started(work)
    await on.kubectl("delete", "pod", "-l", f"slipway.dev/replica={work.replica}", "--wait=false")
    seen = await on.until(work.replica, lambda seen: seen.addresses not in ((), (first,)))
    assert await on.get(work.replica, seen.addresses[0], "/again") == b'"again"'


async def test_a_second_start_changes_nothing_in_the_cluster(on: ClusterTarget) -> None:
    work = await on.serving()
    await on.started(work)
    await on.until(work.replica, Phase.READY)
    what = ("deployments,configmaps,secrets,services", "-o", "name")
    stamps = ("-o", "jsonpath={.items[*].metadata.resourceVersion}")
    mine = ("-l", f"slipway.dev/replica={work.replica}")
    before = await on.kubectl("get", what[0], *mine, *stamps)
    await on.driver.start(work)
    assert await on.kubectl("get", what[0], *mine, *stamps) == before


async def test_gpus_are_of_the_node_that_offers_them(on: ClusterTarget) -> None:
    async with on.cluster.gpus(4):
        async with asyncio.timeout(30):
            while len(found := await on.driver.inventory()) != 4:
                await asyncio.sleep(0.2)
        assert {gpu.type for gpu in found} == {"rtx3090"}
        work = await on.serving(devices=(found[0].device, found[1].device))
        await on.started(work)
        limits = "jsonpath={.items[0].spec.containers[0].resources.limits.nvidia\\.com/gpu}"
        mine = ("-l", f"slipway.dev/replica={work.replica}")
        assert await on.kubectl("get", "pods", *mine, "-o", limits) == "2"
        assert len(await on.driver.inventory()) == 4
        await on.driver.stop(work.replica, 0)


async def test_an_image_that_wants_root_is_refused(on: ClusterTarget) -> None:
    work = await on.serving()
    on.kind = "container"  # whose images are root's
    outcome = await on.driver.start(await on.serving())
    assert isinstance(outcome, Refused)
    assert "root" in outcome.reason
    assert work.replica not in await on.driver.observe()


async def test_k12_a_cluster_without_enforced_policies_is_found_out(
    on: ClusterTarget, pushed: tuple[Bed, str]
) -> None:
    opened = await on.cluster.unwalled(on.namespace)
    told = settings(on.cluster, on.namespace, pushed[1])
    told = msgspec.structs.replace(told, network_policies="warn")
    async with open_kubernetes(told) as driver, asyncio.timeout(120):
        await driver.walls.known.wait()
    assert driver.walls.stand is not opened
