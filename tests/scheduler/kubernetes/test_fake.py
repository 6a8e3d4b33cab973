"""What the pretended cluster does with pods: what the driver's tests build on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from services.scheduler.drivers.kubernetes.answers import Object
from services.scheduler.drivers.kubernetes.door import Cluster, open_cluster
from services.scheduler.drivers.kubernetes.kinds import DEPLOYMENTS, NODES, PODS
from tests.scheduler.kubernetes.contract import deployment, is_ready, pods, until
from tests.scheduler.kubernetes.fake import Fake, Fate, open_fake


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[Fake]:
    async with open_fake(tmp_path) as fake:
        yield fake


@pytest.fixture
async def cluster(fake: Fake) -> AsyncIterator[Cluster]:
    async with open_cluster(str(fake.kubeconfig), "", fake.namespace) as cluster:
        yield cluster


async def seen(cluster: Cluster, good: Callable[[list[Object]], bool]) -> list[Object]:
    """The pods of `d` when they are as said."""

    async def now() -> list[Object]:
        return await pods(cluster, "d")

    return await until(now, good)


def waiting(pod: Object) -> Object:
    statuses = pod["status"].get("containerStatuses") or [{"state": {}}]
    found: Object = statuses[0]["state"].get("waiting") or {}
    return found


def with_gpus(count: int, name: str = "d", **rest: Any) -> Object:
    made = deployment(name, "shell", **rest)
    [container] = made["spec"]["template"]["spec"]["containers"]
    container["resources"]["limits"]["nvidia.com/gpu"] = str(count)
    return made


@pytest.mark.parametrize(
    ("fate", "reason"),
    [("pull-fail", "ImagePullBackOff"), ("crash", "CrashLoopBackOff"), ("oom", "CrashLoopBackOff")],
)
async def test_a_pod_with_a_fate_says_why_it_waits(
    fake: Fake, cluster: Cluster, fate: Fate, reason: str
) -> None:
    fake.kubelet.fates["d-"] = fate
    await cluster.apply(deployment("d", "shell"))
    [pod] = await seen(
        cluster, lambda found: any(waiting(p).get("reason") == reason for p in found)
    )
    assert not is_ready(pod)


async def test_a_pod_that_crashes_is_begun_again_and_again_with_longer_pauses(
    fake: Fake, cluster: Cluster
) -> None:
    fake.kubelet.fates["d-"] = "oom"
    await cluster.apply(deployment("d", "shell"))
    pauses: list[str] = []  # those that were seen; a look may miss one

    def paused(found: list[Object]) -> bool:
        for pod in found:
            said = waiting(pod).get("message", "").split()
            if said[:1] == ["back-off"] and said[1] not in pauses:
                pauses.append(said[1])
        return bool({"160s", "300s"} & set(pauses))

    [pod] = await seen(cluster, paused)
    [status] = pod["status"]["containerStatuses"]
    longer = ["10s", "20s", "40s", "80s", "160s", "300s"]
    assert status["restartCount"] == longer.index(pauses[-1]) + 1
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
    words = f"back-off {pauses[-1]} restarting failed container=server"
    assert waiting(pod)["message"].startswith(words)
    assert pauses == [pause for pause in longer if pause in pauses]
    assert len(pauses) > 1


async def test_a_pod_that_gets_well_is_ready(fake: Fake, cluster: Cluster) -> None:
    fake.kubelet.fates["d-"] = "unschedulable"
    await cluster.apply(deployment("d", "shell"))
    [pod] = await seen(cluster, lambda found: any(p["status"].get("conditions") for p in found))
    assert pod["status"]["conditions"][0]["reason"] == "Unschedulable"
    fake.kubelet.fates.clear()
    await seen(cluster, lambda found: all(is_ready(p) for p in found))


async def test_gpus_are_given_once_and_freed(fake: Fake, cluster: Cluster) -> None:
    fake.kubelet.node("gpu-1", gpus=2)
    await cluster.apply(with_gpus(2, "first"))

    async def first() -> list[Object]:
        return await pods(cluster, "first")

    [pod] = await until(first, lambda found: any(is_ready(p) for p in found))
    assert pod["spec"]["nodeName"] == "gpu-1"
    await cluster.apply(with_gpus(1))
    [pod] = await seen(cluster, lambda found: any(p["status"].get("conditions") for p in found))
    assert "nvidia.com/gpu" in pod["status"]["conditions"][0]["message"]
    await cluster.delete(DEPLOYMENTS, "first")
    await seen(cluster, lambda found: any(is_ready(p) for p in found))


@pytest.mark.parametrize("surge", [0, 1])
async def test_another_template_makes_other_pods_with_and_without_more_at_once(
    fake: Fake, cluster: Cluster, surge: int
) -> None:
    fake.kubelet.node("gpu-1", gpus=2 + surge)
    rolling = {"maxSurge": surge, "maxUnavailable": 1 - surge}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    await cluster.apply(with_gpus(1, replicas=2, strategy=strategy))
    old = await seen(cluster, lambda found: len(found) == 2 and all(is_ready(p) for p in found))
    changed = with_gpus(1, replicas=2, strategy=strategy)
    changed["spec"]["template"]["metadata"]["annotations"] = {"changed": "yes"}
    await cluster.apply(changed)
    names = {pod["metadata"]["name"] for pod in old}
    await seen(
        cluster,
        lambda found: (
            len(found) == 2
            and all(is_ready(p) for p in found)
            and not names & {p["metadata"]["name"] for p in found}
        ),
    )


async def test_what_was_evicted_stays_to_be_seen_and_another_comes(
    fake: Fake, cluster: Cluster
) -> None:
    await cluster.apply(deployment("d", "shell"))
    [pod] = await seen(cluster, lambda found: any(is_ready(p) for p in found))
    fake.kubelet.fates[pod["metadata"]["name"]] = "evicted"
    fake.kubelet.fates["d-"] = "ready"
    found = await seen(cluster, lambda found: len(found) == 2 and any(is_ready(p) for p in found))
    assert "Evicted" in {p["status"].get("reason") for p in found}


async def test_a_stuck_pod_stays_until_it_is_let_go(fake: Fake, cluster: Cluster) -> None:
    await cluster.apply(deployment("d", "shell"))
    [pod] = await seen(cluster, lambda found: any(is_ready(p) for p in found))
    fake.kubelet.fates["d-"] = "stuck"
    await cluster.delete(DEPLOYMENTS, "d")
    await seen(cluster, lambda found: any(p["metadata"].get("deletionTimestamp") for p in found))
    await cluster.delete(PODS, pod["metadata"]["name"], grace=0)
    assert await pods(cluster, "d") == []


async def test_a_node_that_is_cordoned_takes_no_pods(fake: Fake, cluster: Cluster) -> None:
    await cluster.patch_merge(NODES, "fake-1", {"spec": {"unschedulable": True}})
    await cluster.apply(deployment("d", "shell"))
    await seen(cluster, lambda found: any(p["status"].get("conditions") for p in found))
    await cluster.patch_merge(NODES, "fake-1", {"spec": {"unschedulable": None}})
    await seen(cluster, lambda found: any(is_ready(p) for p in found))


async def test_nothing_is_written_while_nothing_happens(fake: Fake, cluster: Cluster) -> None:
    await cluster.apply(deployment("d", "shell", replicas=3))
    await seen(cluster, lambda found: len(found) == 3 and all(is_ready(p) for p in found))
    settled = -1
    while settled != fake.store.version:
        settled = fake.store.version
        await asyncio.sleep(0.2)
    fake.kubelet.step()
    fake.controllers.step()
    assert fake.store.version == settled
