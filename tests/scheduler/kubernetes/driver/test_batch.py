"""Runs as Jobs of an API server that only pretends to have a cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.scheduler.driver import Phase, Started
from services.scheduler.drivers.kubernetes import batch, kinds
from services.scheduler.drivers.kubernetes.objects import Job
from shared.endpoint import Run
from tests.scheduler.kubernetes.driver.pods import NOW, ended, pod, running
from tests.scheduler.kubernetes.driver.scene import Scene, scene

ACTIVE = msgspec.convert({"status": {"active": 1}}, Job)


@pytest.fixture
async def on(tmp_path):
    async with scene(tmp_path) as opened:
        opened.work = msgspec.structs.replace(
            opened.work, run=Run(lines=("echo $HOME", "exit 3")), copies=1
        )
        yield opened


async def begun(on: Scene) -> None:
    assert await on.driver.start(on.work) == Started()
    seen = await on.until(lambda seen: seen.phase is Phase.READY)
    assert (seen.addresses, seen.drift, seen.wanted) == ((), "", 1)


async def test_a_run_is_a_job_with_its_command_and_a_folder_for_outputs(on: Scene) -> None:
    await begun(on)
    job = on.one(kinds.JOBS)
    assert on.all(kinds.DEPLOYMENTS) == on.all(kinds.SERVICES) == []
    spec = job["spec"]["template"]["spec"]
    assert (job["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    [container] = spec["containers"]
    assert container["args"] == ["/bin/sh", "-c", "set -e\necho $$HOME\nexit 3"]
    assert "/slipway/outputs" in [each["mountPath"] for each in container["volumeMounts"]]
    assert "_once=1" in on.one(kinds.CONFIGMAPS)["data"]["init"]


async def test_how_it_ended_is_seen_until_it_is_stopped(on: Scene) -> None:
    await begun(on)
    on.fake.kubelet.exits["j"] = 3
    seen = await on.until(lambda seen: seen.phase is Phase.FINISHED)
    assert (seen.exit_code, seen.copies, seen.drift) == (3, 0, "")
    before = on.fake.truth(kinds.JOBS)
    assert await on.driver.start(on.work) == Started()
    assert on.fake.truth(kinds.JOBS) == before
    looked = await on.driver.look(on.replica)
    assert looked is not None
    assert (looked.phase, looked.exit_code) == (Phase.FINISHED, 3)
    async with on.opened() as again:
        assert (await again.observe())[on.replica] == seen
    assert [piece async for piece in on.driver.outputs(on.replica, 100)] == []
    await on.driver.stop(on.replica, 5)
    assert await on.driver.observe() == {}
    for kind in (kinds.JOBS, kinds.PODS, kinds.CONFIGMAPS):
        assert on.all(kind) == []


async def test_what_somebody_deletes_is_gone(on: Scene) -> None:
    await begun(on)
    name = on.one(kinds.JOBS)["metadata"]["name"]
    on.fake.remove(kinds.JOBS, name)
    seen = await on.until(lambda seen: seen.phase is Phase.GONE)
    assert seen.reason == "its Job is gone: somebody deleted it"


async def test_it_can_be_stopped_while_it_runs(on: Scene) -> None:
    await begun(on)
    await on.driver.stop(on.replica, 5)
    assert await on.driver.observe() == {}
    assert on.all(kinds.JOBS) == on.all(kinds.PODS) == []


def over(code: int, phase: str = "Failed", **more: Any) -> Any:
    return pod(server={"state": ended(code)} if code >= 0 else {}, phase=phase, **more)


@pytest.mark.parametrize(
    ("made", "phase", "code", "reason"),
    [
        (pod(ready=True, server=running()), Phase.READY, None, ""),
        (over(0, "Succeeded"), Phase.FINISHED, 0, ""),
        (over(0, "Running"), Phase.FINISHED, 0, ""),
        (over(3), Phase.FINISHED, 3, "its server ended with exit code 3"),
        (over(137), Phase.FINISHED, -9, "killed (SIGKILL)"),
        (over(137, reason="Evicted"), Phase.GONE, None, "its pod was evicted"),
        (over(143, conditions=[{"type": "DisruptionTarget"}]), Phase.GONE, None, "its pod"),
        (
            over(143, metadata={"deletionTimestamp": "2026-01-01T12:00:00Z"}),
            Phase.GONE,
            None,
            "its pod failed",
        ),
        (over(-1), Phase.GONE, None, "its pod failed"),
    ],
)
def test_how_a_pod_says_that_it_ended(made: Any, phase: Phase, code: Any, reason: str) -> None:
    seen = batch.observed(ACTIVE, [made], NOW, {})
    assert (seen.phase, seen.exit_code) == (phase, code)
    assert seen.reason.startswith(reason)


@pytest.mark.parametrize(
    ("conditions", "phase"),
    [
        ({}, Phase.STARTING),
        ({"Complete": "True"}, Phase.FINISHED),
        ({"Failed": "True"}, Phase.GONE),
    ],
)
def test_without_its_pod_the_job_has_the_word(conditions: Any, phase: Phase) -> None:
    told = [{"type": type, "status": status} for type, status in conditions.items()]
    job = msgspec.convert({"status": {"conditions": told}}, Job)
    assert batch.observed(job, [], NOW, {}).phase is phase
