"""`make bench-kubernetes`: so many endpoints at once, beside kubectl with the same objects."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.kubernetes import peer
from benchmarks.kubernetes.peer import Applied
from benchmarks.kubernetes.run import Run, figures, show_calls, writes
from benchmarks.kubernetes.scene import Scene, bells, space, stage, until
from benchmarks.table import Figure
from tests.beds.kubernetes import bed
from tests.cluster import check
from tests.cluster.api import Api

WITHIN: Final = 900.0
REST: Final = 3.0  # seconds after which it has looked, and waits
QUIET: Final = 15.0  # seconds in which nothing has to be written


async def measure(home: Path, count: int) -> list[Figure]:
    """Raises AssertionError when something was written again though nothing had changed."""
    cluster = await asyncio.to_thread(bed.cluster)
    async with stage(home, cluster, count) as scene:
        run, objects = await _ours(scene, count)
        applied, ready = await _kubectl(scene, count, objects)
        bare = await _bare(scene, objects)
    show_calls(run)
    assert writes(run.quiet) == 0, f"written again though nothing had changed: {run.quiet}"
    return figures(run, applied, ready, bare)


async def _ours(scene: Scene, count: int) -> tuple[Run, list[dict[str, Any]]]:
    async with bells(scene.api, scene.namespace, "Deployment", "Service") as rung:
        await asyncio.sleep(REST)
        before, counted = await scene.scheduler.told(), await _served(scene.api)
        sent, received = scene.meter.sent, scene.meter.received
        began = time.monotonic()
        await scene.jobs.queue()
        applied = max([await bell.until(count, WITHIN) for bell in rung]) - began
        print(f"  applied after {applied:.1f} s", flush=True)
        ready = await _all(scene, "running", count) - began
        print(f"  ready after {ready:.1f} s", flush=True)
        after, served = await scene.scheduler.told(), await _served(scene.api)
        sent, received = scene.meter.sent - sent, scene.meter.received - received
        await asyncio.sleep(REST)
        still = await scene.scheduler.told()
        await asyncio.sleep(QUIET)
        quiet = (await scene.scheduler.told()).minus(still)
        objects = await peer.manifests(scene.api, scene.namespace)
        stopped = time.monotonic()
        await scene.jobs.stop()
        gone = await _all(scene, "stopped", count) - stopped
        print(f"  stopped after {gone:.1f} s", flush=True)
    return Run(
        count=count,
        applied=applied,
        ready=ready,
        gone=gone,
        calls=after.minus(before),
        served=served - counted,
        sent=sent,
        received=received,
        idle=before.memory,
        peak=after.peak,
        quiet=quiet,
        objects=len(objects),
    ), objects


async def _kubectl(
    scene: Scene, count: int, objects: Sequence[dict[str, Any]]
) -> tuple[Applied, float]:
    """What it told, and when all were ready."""
    print("  the same by kubectl …", flush=True)
    async with (
        space(scene.api, "kubectl") as namespace,
        bells(scene.api, namespace, "Deployment") as (deployments,),
    ):
        began, moved = time.monotonic(), scene.meter.sent + scene.meter.received
        moving = peer.moved_to(namespace, objects)
        file = scene.home / "objects.json"
        applied = await peer.by_kubectl(scene.kubeconfig, moving, file)
        transferred = scene.meter.sent + scene.meter.received - moved
        ready = await deployments.until(count, WITHIN, ready=True) - began
    return Applied(seconds=applied.seconds, memory=applied.memory, transferred=transferred), ready


async def _bare(scene: Scene, objects: Sequence[dict[str, Any]]) -> float:
    print("  the same by bare requests …", flush=True)
    async with space(scene.api, "bare") as namespace:
        return await peer.at_once(scene.api, peer.moved_to(namespace, objects))


async def _all(scene: Scene, state: str, count: int) -> float:
    async def done() -> bool:
        return await scene.jobs.states() == {state: count}

    await until(done, WITHIN)
    return time.monotonic()


async def _served(api: Api) -> int:
    return sum((await check.writes(api)).values())
