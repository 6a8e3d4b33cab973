"""The driver on an API server that only pretends to have a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Phase, Refused, Replica, Started
from services.scheduler.drivers import Kubernetes
from services.scheduler.drivers.kubernetes import ender, kinds, pictures
from services.scheduler.drivers.kubernetes.open import settings_of
from shared.blobs import Blobs
from shared.errors import Invalid, Transient
from shared.ids import JobId
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import Base, image
from tests.scheduler.kubernetes.driver.scene import Scene
from tests.scheduler.kubernetes.fake import Fault


async def test_what_is_started_has_the_addresses_of_its_pods(on: Scene) -> None:
    seen = await on.ready(msgspec.structs.replace(on.work, copies=2))
    ips = sorted(pod["status"]["podIP"] for pod in on.all(kinds.PODS))
    assert seen.addresses == tuple(f"doorman://{ip}:7200" for ip in ips)
    assert (seen.copies, seen.wanted, seen.drift) == (2, 2, "")


async def test_starting_and_looking_again_write_nothing_new(on: Scene) -> None:
    await on.ready()
    truth = {kind: on.fake.truth(kind) for kind in (kinds.DEPLOYMENTS, kinds.PODS, kinds.SECRETS)}
    await on.driver.start(on.work)
    assert {kind: on.fake.truth(kind) for kind in truth} == truth
    before = on.writes()
    for _ in range(3):
        await on.driver.observe()
        await on.driver.inventory()
    assert on.writes() == before


async def test_who_opens_it_again_finds_what_runs(on: Scene) -> None:
    seen = await on.ready()
    before = on.writes()
    async with on.opened() as again:
        assert await again.observe() == {on.replica: seen}
    assert on.writes() == before


async def test_stopping_leaves_nothing(on: Scene) -> None:
    await on.ready()
    await on.driver.stop(on.replica, 5)
    assert await on.driver.observe() == {}
    for kind in (kinds.DEPLOYMENTS, kinds.PODS, kinds.CONFIGMAPS):
        assert on.all(kind) == []
    async with asyncio.timeout(10):  # the garbage collector's
        while on.all(kinds.SECRETS) or on.all(kinds.SERVICES):
            await asyncio.sleep(0.02)


async def test_what_belongs_to_another_platform_is_never_touched(on: Scene) -> None:
    await on.ready()
    async with on.opened(platform="theirs") as others:
        assert await others.observe() == {}
        await others.stop(on.replica, 1)
    assert len(on.all(kinds.PODS)) == 1
    assert len(on.all(kinds.CONFIGMAPS)) == 1


async def test_k09_what_somebody_changed_is_told_and_put_right(on: Scene) -> None:
    await on.ready()

    def other_image(deployment: Any) -> None:
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "somebody/elses"

    on.edit(kinds.DEPLOYMENTS, other_image)
    seen = await on.until(lambda seen: seen.drift != "")
    assert seen.drift == ("its Deployment: spec.template.spec.containers.server.image was changed")
    await on.driver.start(on.work)
    await on.until(lambda seen: seen.drift == "" and seen.phase is Phase.READY)


async def test_k09_a_part_that_somebody_deleted_is_told_and_made_again(on: Scene) -> None:
    await on.ready()
    on.fake.remove(kinds.SERVICES, str(on.replica))
    seen = await on.until(lambda seen: seen.drift != "")
    assert seen.drift == "its Service is gone"
    await on.driver.start(on.work)
    await on.until(lambda seen: seen.drift == "")


async def test_more_copies_than_were_asked_for_are_told_of(on: Scene) -> None:
    await on.ready()
    on.edit(kinds.DEPLOYMENTS, lambda deployment: deployment["spec"].update(replicas=3))
    seen = await on.until(lambda seen: seen.wanted == 3)
    assert seen.drift == ""


async def test_a_deployment_that_somebody_deleted_is_gone(on: Scene) -> None:
    await on.ready()
    on.fake.remove(kinds.DEPLOYMENTS, str(on.replica))
    seen = await on.until(lambda seen: seen.phase is Phase.GONE)
    assert seen.reason == "its Deployment is gone: somebody deleted it"
    await on.driver.stop(on.replica, 1)
    assert await on.driver.observe() == {}


async def test_k03_what_a_picture_lacks_is_not_gone_before_the_cluster_says_so(on: Scene) -> None:
    await on.ready()
    picture = on.driver._pictures.deployments.objects
    assert isinstance(picture, dict)
    kept = dict(picture)
    picture.clear()
    on.driver._pictures._held = None
    with pytest.raises(Transient, match="out of sight"):
        await on.driver.observe()
    for informer in (on.driver._pictures.anchors, on.driver._pictures.pods):
        assert isinstance(informer.objects, dict)
        informer.objects.clear()
    on.driver._pictures._held = None
    with pytest.raises(Transient, match="out of sight"):
        await on.driver.observe()
    picture.update(kept)


async def test_an_old_picture_is_no_answer(on: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await on.ready()
    monkeypatch.setattr(pictures, "FRESH", -1.0)
    with pytest.raises(Transient, match="out of sight"):
        await on.driver.observe()
    with pytest.raises(Transient, match="out of sight"):
        await on.driver.inventory()


async def test_pods_without_an_anchor_are_left_over(on: Scene) -> None:
    labels = {
        "slipway.dev/platform": "ours",
        "slipway.dev/replica": "jleft-2",
        "slipway.dev/job": "jleft",
        "slipway.dev/attempt": "2",
    }
    meta = {"labels": labels}
    on.fake.add(kinds.PODS, "left", metadata=meta, spec={"containers": []}, status={})
    left = Replica(JobId("jleft"), 2)
    seen = await on.until(lambda seen: True, left)
    assert (seen.phase, seen.copies) == (Phase.GONE, 1)
    await on.driver.stop(left, 0)
    assert await on.driver.observe() == {}


async def test_an_anchor_whose_start_broke_off_is_gone_until_it_is_started(on: Scene) -> None:
    on.fake.trouble.arm(Fault.ERROR, "patch", "deployments", times=20)
    with pytest.raises(Transient):
        await on.driver.start(on.work)
    on.fake.trouble.calm()
    await on.until(lambda seen: seen.phase is Phase.GONE)
    await on.ready()


async def test_k04_what_was_done_though_no_answer_came_is_done_once(on: Scene) -> None:
    for plural in ("configmaps", "secrets", "deployments"):
        on.fake.trouble.arm(Fault.DONE_RESET, "patch", plural)
    await on.ready()
    assert len(on.all(kinds.PODS)) == 1


async def test_a_pod_on_a_machine_that_is_away_is_not_given_up(
    on: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ender, "PATIENCE", 0.0)
    monkeypatch.setattr(ender, "LOOK", 0.05)
    await on.ready()
    on.fake.kubelet.fates[str(on.replica)] = "stuck"
    with pytest.raises(Transient, match="fake-1"):
        await on.driver.stop(on.replica, 0)
    assert (await on.driver.observe())[on.replica].copies == 1
    on.fake.kubelet.fates.clear()
    await on.driver.stop(on.replica, 0)
    assert await on.driver.observe() == {}


async def test_a_server_that_crashes_has_failures_in_a_row(on: Scene) -> None:
    on.fake.kubelet.fates[str(on.replica)] = "crash"
    await on.driver.start(on.work)
    seen = await on.until(lambda seen: seen.failures >= 5)
    assert (seen.phase, seen.exit_code) == (Phase.CRASHING, 1)


async def test_an_image_that_may_not_run_is_refused_and_nothing_is_left(on: Scene) -> None:
    blobs = Blobs.open(f"file:{on.folder / 'blobs'}")
    root = await image(blobs, "/bin/true", user="0:0")
    await Bed(None, on.work.repository.partition("/")[0], Base()).push(blobs, root)
    outcome = await on.driver.start(msgspec.structs.replace(on.work, image=root))
    assert isinstance(outcome, Refused)
    assert "root" in outcome.reason
    assert await on.driver.observe() == {}
    assert on.all(kinds.CONFIGMAPS) == []


async def test_a_project_is_walled_in_before_its_first_pod(on: Scene) -> None:
    await on.ready()
    policy = on.one(kinds.NETWORKPOLICIES)
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    labels = policy["spec"]["podSelector"]["matchLabels"]
    assert labels.items() <= on.one(kinds.PODS)["metadata"]["labels"].items()


async def test_what_copies_print_is_told_with_where_it_came_from(on: Scene) -> None:
    await on.ready()
    pod = on.one(kinds.PODS)["metadata"]["name"]
    on.fake.log(pod, "server", b"2126-01-01T00:00:00.5Z one", b"2126-01-01T00:00:00.5Z two")
    async with asyncio.timeout(10):
        while len(lines := await on.driver.logs(on.replica, 0)) < 3:
            await asyncio.sleep(0.02)
    assert [(line.line, line.text, line.stream) for line in lines[1:]] == [
        (2, "one", "stdout"),
        (3, "two", "stdout"),
    ]
    assert {line.source for line in lines} == {f"{pod}/0"}
    assert lines[1].stamp < lines[2].stamp


async def test_another_driver_goes_on_where_the_last_line_was_kept(on: Scene) -> None:
    await on.ready()
    pod = on.one(kinds.PODS)["metadata"]["name"]
    stamp = b"2126-01-01T00:00:00.000000001Z"
    on.fake.log(pod, "server", *(b"%s %d" % (stamp, number) for number in range(4)))
    async with on.opened() as again, asyncio.timeout(10):
        seen = {f"{pod}/0": f"{stamp.decode()}.000002"}
        while not (lines := await again.logs(on.replica, 7, seen)):
            await asyncio.sleep(0.02)
    assert [(line.line, line.text) for line in lines] == [(8, "2"), (9, "3")]


async def test_gpus_that_a_replica_holds_are_told_as_they_were(on: Scene) -> None:
    on.fake.kubelet.node(
        "gpus", gpus=4, labels={"nvidia.com/gpu.product": "NVIDIA-GeForce-RTX-3090"}
    )
    async with asyncio.timeout(10):
        while len(found := await on.driver.inventory()) < 4:
            await asyncio.sleep(0.02)
    assert {gpu.type for gpu in found} == {"rtx3090"}
    await on.ready(msgspec.structs.replace(on.work, devices=(found[3].device,)))
    terms = on.one(kinds.DEPLOYMENTS)["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    assert "NVIDIA-GeForce-RTX-3090" in str(terms)
    node = next(node for node in on.all(kinds.NODES) if node["metadata"]["name"] == "gpus")
    on.fake.store.update("nodes", node | {"spec": {"unschedulable": True}})
    async with asyncio.timeout(10):
        while len(left := await on.driver.inventory()) != 1:
            await asyncio.sleep(0.02)
    assert left == [found[3]]


async def test_more_copies_leave_those_that_run_where_they_are(on: Scene) -> None:
    for name in ("one", "two"):
        on.fake.kubelet.node(name, gpus=1, labels={"nvidia.com/gpu.product": "Tesla-T4"})
    async with asyncio.timeout(10):
        while len(found := await on.driver.inventory()) < 2:
            await asyncio.sleep(0.02)
    await on.ready(msgspec.structs.replace(on.work, devices=(found[0].device,)))
    before = on.one(kinds.DEPLOYMENTS)["spec"]["template"]
    both = tuple(gpu.device for gpu in found)
    await on.ready(msgspec.structs.replace(on.work, devices=both, copies=2))
    assert on.one(kinds.DEPLOYMENTS)["spec"]["template"] == before
    assert {gpu.id for gpu in await on.driver.inventory()} == {gpu.id for gpu in found}


def test_settings_with_which_nothing_can_run_are_named() -> None:
    with pytest.raises(Invalid, match="DOORMAN_IMAGE"):
        settings_of(Kubernetes(doorman_key="k" * 32))
    with pytest.raises(Invalid, match="DOORMAN_KEY"):
        settings_of(Kubernetes(doorman_image="x"))


BLOCKED = {"restartCount": 1, "state": {"terminated": {"exitCode": 0}}}
THROUGH = {"restartCount": 2, "lastState": {"terminated": {"exitCode": 1}}, "state": {}}


async def _tried(on: Scene, **sides: Any) -> None:
    """The probe's pods, as if their network was so."""
    async with asyncio.timeout(10):
        while len(on.all(kinds.JOBS)) < 2:
            await asyncio.sleep(0.02)
    for job in on.all(kinds.JOBS):
        labels = job["spec"]["template"]["metadata"]["labels"]
        name = job["metadata"]["name"]
        status = {"containerStatuses": [{"name": "slipway", **sides[name.rpartition("-")[2]]}]}
        meta = {"labels": labels}
        on.fake.add(
            kinds.PODS,
            name,
            metadata=meta,
            spec={"containers": []},
            status={"phase": "Succeeded", **status},
        )


async def test_k12_a_cluster_without_walls_is_told_of(
    on: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    async with on.opened(network_policies="warn") as driver:
        await _tried(on, closed=THROUGH, open=THROUGH)
        async with asyncio.timeout(10):
            await driver.walls.known.wait()
        assert "does not enforce network policies" in caplog.text
        assert isinstance(await driver.start(on.work), Started)


async def test_k12_where_walls_are_required_nothing_starts_without_them(on: Scene) -> None:
    async with on.opened(network_policies="required") as driver:
        with pytest.raises(Transient, match="not known yet"):
            await driver.start(on.work)
        await _tried(on, closed=THROUGH, open=THROUGH)
        async with asyncio.timeout(10):
            await driver.walls.known.wait()
        assert isinstance(await driver.start(on.work), Refused)
    assert on.all(kinds.DEPLOYMENTS) == []


async def test_k12_where_walls_stand_all_starts(on: Scene) -> None:
    async with on.opened(network_policies="required") as driver:
        await _tried(on, closed=BLOCKED, open=THROUGH)
        async with asyncio.timeout(10):
            await driver.walls.known.wait()
        assert isinstance(await driver.start(on.work), Started)
        assert on.all(kinds.JOBS) == []


async def test_k12_a_probe_goes_on_when_another_scheduler_has_ended_its_own(on: Scene) -> None:
    async with on.opened(network_policies="required") as driver, asyncio.timeout(10):
        while len(on.all(kinds.JOBS)) < 2:
            await asyncio.sleep(0.02)
        for job in on.all(kinds.JOBS):
            on.fake.remove(kinds.JOBS, job["metadata"]["name"])
        await _tried(on, closed=BLOCKED, open=THROUGH)
        await driver.walls.known.wait()
        assert driver.walls.stand is True


async def test_k12_a_network_that_is_down_proves_no_walls(on: Scene) -> None:
    async with on.opened(network_policies="required") as driver:
        await _tried(on, closed=BLOCKED, open=BLOCKED)
        with pytest.raises(Transient, match="not known yet"):
            await driver.start(on.work)
        assert driver.walls.stand is None
