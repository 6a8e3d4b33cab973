"""What the queue promises of those who hold GPUs and those who wait for them, on real processes."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from slipway import AsyncClient
from slipway.types import Event, Job, Version
from tests.acceptance.conftest import SETTINGS, Patient
from tests.acceptance.platform import Platform

pytestmark = pytest.mark.parametrize(
    "platform", ["distributed", "container"], indirect=True, scope="module"
)

ONLY = "a100"  # the type of which there is one GPU
MARK = "ACCEPTANCE_MARK"
CONFIG = """\
- endpoint:
    name: unused
    image: python:3.11
    server-command: python -m http.server $VALOHAI_PORT
"""
STUBBORN = "trap 'echo told to end' TERM; echo up; while :; do sleep 1; done"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def version(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Whose image all of them run in."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "valohai.yaml").write_text(CONFIG)
    deployment = f"queue-{uuid.uuid4().hex[:6]}"
    async with Patient(platform) as client:
        made = await client.deploy(folder, deployment=deployment, version="v1", timeout=60)
        await client.stop(made.jobs["unused"])
        async with asyncio.timeout(60 * platform.patience):
            while (await client.version(deployment, "v1")).state != "ready":
                await asyncio.sleep(0.1)
    return made


async def holder(
    slipway: AsyncClient,
    version: Version,
    command: str,
    mark: str = "",
    **scheduling: Any,
) -> Job:
    """A job that wants the only GPU."""
    environment = {MARK: mark}
    wishes: Mapping[str, Any] = {"environment": environment, "scheduling": scheduling}
    made = await slipway.run(version.deployment, "v1", command, gpu_type=ONLY, **wishes)
    return await slipway.job(made.jobs[0].id)


async def until_held(slipway: AsyncClient, job: Job) -> Job:
    """The job once it has the GPU."""
    async with asyncio.timeout(60):
        while not (found := await slipway.job(job.id)).gpus:
            await asyncio.sleep(0.05)
    return found


async def ended(slipway: AsyncClient, job: Job) -> Job:
    assert job.series is not None
    await slipway.wait_for_series(job.series, timeout=60)
    return await slipway.job(job.id)


async def printed(slipway: AsyncClient, job: Job, attempt: int, text: str) -> None:
    """Returns once this attempt of the job has printed this line."""
    async with asyncio.timeout(60):
        while (attempt, text) not in [
            (line.attempt, line.text) for line in await slipway.logs(job.id)
        ]:
            await asyncio.sleep(0.1)


async def told(slipway: AsyncClient, job: Job, kind: str) -> list[Event]:
    events = await slipway.events(limit=100_000)
    return [e for e in events if (e.subject, e.type) == (job.id, f"slipway.job.{kind}.v1")]


def alive(mark: str) -> list[int]:
    """The processes that were told of `mark`, in a container or not."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:  # it has ended
            continue
        if f"{MARK}={mark}".encode() in environment.split(b"\0"):
            found.append(int(name))
    return found


async def test_S19_who_ignores_its_notice_and_sigterm_is_killed_and_its_gpu_given_on_only_then(
    slipway: AsyncClient, version: Version
) -> None:
    mark = uuid.uuid4().hex
    victim = await holder(slipway, version, STUBBORN, mark, priority="low", preemptible=True)
    await printed(slipway, victim, 1, "up")
    assert alive(mark)

    heir = await holder(slipway, version, "echo mine; sleep 600")
    placed = await until_held(slipway, heir)
    assert alive(mark) == []
    (warned,) = await told(slipway, victim, "warned")
    (gave_way,) = await told(slipway, victim, "preempted")
    assert (warned.data["what"], warned.data["attempt"]) == ("preemption", 1)
    notice = timedelta(seconds=float(SETTINGS["PREEMPTION_NOTICE"]))
    assert warned.time + notice <= gave_way.time + timedelta(milliseconds=10)
    assert datetime.fromisoformat(warned.data["at"]) <= gave_way.time
    assert placed.placed_at is not None
    assert placed.placed_at >= gave_way.time + timedelta(seconds=float(SETTINGS["STOP_GRACE"]))
    await printed(slipway, victim, 1, "told to end")

    waits = await slipway.job(victim.id)
    assert (waits.state, waits.attempt, waits.gpus) == ("queued", 2, [])
    await printed(slipway, heir, 1, "mine")
    await slipway.stop(heir.id)
    await printed(slipway, victim, 2, "up")
    assert (await slipway.job(victim.id)).gpus == placed.gpus


async def test_who_is_given_no_place_in_time_fails_and_who_has_run_for_as_long_as_it_may_is_ended(
    slipway: AsyncClient, version: Version
) -> None:
    mark = uuid.uuid4().hex
    first = await holder(slipway, version, "sleep 600", mark, run_at_most=8)
    await until_held(slipway, first)
    late = await holder(slipway, version, "echo never", start_within=1)
    late = await ended(slipway, late)
    reason = "it was not given a place by the time by which it had to start"
    assert (late.state, late.reason, late.attempt) == ("failed", reason, 1)
    assert late.placed_at is None
    first = await ended(slipway, first)
    assert first.state == "failed"
    assert first.reason.startswith("it may run for 8 s, and has")
    async with asyncio.timeout(30):
        while (await slipway.job(first.id)).gpus:
            await asyncio.sleep(0.05)
    assert alive(mark) == []
