"""What only a cluster has: several copies of a job, pods that go, and more than one target."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from slipway import AsyncClient
from slipway.types import Job
from tests.acceptance.conftest import Patient
from tests.acceptance.platform import Gpus
from tests.cluster.conftest import OTHER
from tests.cluster.installed import TARGET, Installed
from tests.cluster.traffic import Ask, flowing

SERVER = """
import http.server, os, socket, sys, time
print("begun", flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/die":
            os._exit(3)
        if self.path == "/slow":
            time.sleep(2)
        self.answer(socket.gethostname().encode())
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()
    def answer(self, said):
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""
CONFIG = """\
- endpoint: {name: who, image: "python:3.11", port: 8000, server-command: python serve.py 8000}
"""
KINDS = "configmaps,secrets,services,deployments,replicasets,pods,horizontalpodautoscalers,jobs"

Create = Callable[..., Awaitable[Job]]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "serve.py").write_text(SERVER)
    (tmp_path / "valohai.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def create(slipway: AsyncClient, code: Path) -> Create:
    """An endpoint that says which copy of it answers; returns when it runs."""

    async def made(*, wait: bool = True, **options: Any) -> Job:
        told = {"gpu_type": "cpu", "start_command": "python serve.py 80", **options}
        job = await slipway.create_endpoint(f"e-{uuid.uuid4().hex[:8]}", code, **told)
        return await slipway.wait_for_job(job.id, timeout=60) if wait else job

    return made


def asks(job: Job) -> list[Ask]:
    return [
        Ask(method="GET", url=f"{job.url}/"),
        Ask(method="POST", url=f"{job.url}/", body=b"x" * 1000),
    ]


async def heard(http: aiohttp.ClientSession, job: Job, copies: int) -> set[str]:
    """Which copies answer, once so many have."""
    names: set[str] = set()
    async with asyncio.timeout(60):
        while len(names) < copies:
            async with http.get(f"{job.url}/") as answer:
                assert answer.status == 200, await answer.text()
                names.add(await answer.text())
    return names


async def pods(release: Installed, job: Job, namespace: str = "") -> list[str]:
    """Of a job, less those that are about to go."""
    words = ("pods", "--namespace", namespace or release.workloads)
    found = await release.cluster.get(*words, "-l", f"slipway.dev/job={job.id}")
    metas = [pod["metadata"] for pod in found["items"]]
    return [meta["name"] for meta in metas if "deletionTimestamp" not in meta]


async def test_copies_come_and_go_while_every_request_is_served(
    slipway: Patient, create: Create, http: aiohttp.ClientSession, release: Installed
) -> None:
    job = await create()
    async with flowing(asks(job)) as traffic:
        await slipway.scale(job.id, 3)
        job = await slipway.wait_for_copies(job.id, timeout=60)
        assert (job.copies, job.copies_running) == (3, 3)
        assert await heard(http, job, 3) == set(await pods(release, job))
        await slipway.scale(job.id, 1)
        job = await slipway.wait_for_copies(job.id, timeout=60)
        assert (job.state, job.attempt, job.copies_running) == ("running", 1, 1)
        [left] = await until_few(release, job, 1)
        assert await heard(http, job, 1) == {left}
    tally = traffic.tally()
    assert tally.failures == ()
    assert {each.tries for each in tally.served} == {1}


async def test_copies_follow_what_is_asked_of_them(
    slipway: Patient, create: Create, http: aiohttp.ClientSession, release: Installed
) -> None:
    job = await create(autoscaling={"min": 1, "max": 3, "requests": 2, "down_after": 5})
    assert (job.copies, job.copies_running) == (1, 1)
    enough = asyncio.Event()

    async def ask() -> None:
        while not enough.is_set():
            async with http.get(f"{job.url}/slow") as answer:
                assert answer.status == 200, await answer.text()

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(ask())
        await until_running(slipway, job, 3)
        enough.set()
    await until_running(slipway, job, 1)
    [left] = await until_few(release, job, 1)
    assert await heard(http, job, 1) == {left}


async def until_running(slipway: Patient, job: Job, copies: int) -> None:
    async with asyncio.timeout(90):
        while (await slipway.job(job.id)).copies_running != copies:
            await asyncio.sleep(0.2)


async def until_few(release: Installed, job: Job, copies: int) -> list[str]:
    async with asyncio.timeout(60):
        while len(names := await pods(release, job)) != copies:
            await asyncio.sleep(0.2)
    return names


async def test_more_copies_than_gpus_come_as_these_become_free(
    slipway: Patient, create: Create, gpus: Gpus
) -> None:
    holder = await create(gpu_type=gpus.type, gpu_count=gpus.count - 1)
    job = await create(gpu_type=gpus.type, replicas=3)
    assert (job.copies, len(job.gpus)) == (3, 1)
    async with asyncio.timeout(30):
        while "runs 1 of 3 copies; the next waits for 1" not in job.reason:
            await asyncio.sleep(0.1)
            job = await slipway.job(job.id)
    assert (job.state, job.copies_running) == ("running", 1)
    await slipway.stop(holder.id)
    job = await slipway.wait_for_copies(job.id, timeout=60)
    assert (job.copies_running, len(job.gpus), job.reason) == (3, 3, "")
    # a copy fewer gives its GPU to who asks next
    await slipway.scale(job.id, 1)
    after = await create(gpu_type=gpus.type, gpu_count=gpus.count - 1)
    assert not set(after.gpus) & set((await slipway.job(job.id)).gpus)


async def test_a_pod_deleted_by_hand_comes_again_and_its_job_runs_on(
    slipway: Patient, create: Create, http: aiohttp.ClientSession, release: Installed
) -> None:
    job = await create()
    [before] = await pods(release, job)
    await release.cluster.kubectl("delete", "pod", before, "--namespace", release.workloads)
    job = await slipway.wait_for_copies(job.id, timeout=60)
    [after] = await until_few(release, job, 1)
    assert after != before
    async with asyncio.timeout(60):
        while (await slipway.job(job.id)).copies_running != 1:
            await asyncio.sleep(0.1)
    assert await heard(http, job, 1) == {after}
    # nothing of its life is told but where it is
    told = [event.type for event in await slipway.events() if event.subject == job.id]
    told = told[told.index("slipway.job.started.v1") + 1 :]
    assert set(told) <= {"slipway.job.moved.v1"}
    assert (await slipway.job(job.id)).attempt == 1


async def test_an_alias_moves_between_versions_of_several_copies_and_nobody_is_refused(
    slipway: Patient, code: Path, release: Installed
) -> None:
    name = f"copies-{uuid.uuid4().hex[:6]}"
    first, second = [
        await slipway.deploy(code, deployment=name, replicas={"*": 2}, wait=True, timeout=120)
        for _ in range(2)
    ]
    alias = await slipway.set_alias(name, "production", first.name)
    url = f"{alias.urls['who']}/"
    # in the names of its pods is the job that answers
    by = {version.name: version.jobs["who"] for version in (first, second)}
    async with aiohttp.ClientSession() as http:
        await until_of(http, url, by[first.name])
        both = Ask(method="GET", url=url), Ask(method="POST", url=url, body=b"x")
        async with flowing(both) as traffic:
            await slipway.set_alias(name, "production", second.name)
            await until_of(http, url, by[second.name])
            back = await slipway.rollback_alias(name, "production")
            await until_of(http, url, by[first.name])
            # what nobody is sent to any more may go
            await slipway.stop(by[second.name])
            await slipway.wait_for_job(by[second.name], "stopped", timeout=60)
    assert back.version == first.name
    assert traffic.tally().failures == ()


async def until_of(http: aiohttp.ClientSession, url: str, job: str) -> None:
    async with asyncio.timeout(30):
        while True:
            async with http.get(url) as answer:
                if answer.status == 200 and (await answer.text()).startswith(job):
                    return
            await asyncio.sleep(0.05)


async def test_each_copy_takes_so_many_requests_and_one_more_is_told_when_to_come_again(
    slipway: Patient, create: Create, http: aiohttp.ClientSession
) -> None:
    job = await create(replicas=2, concurrency=1, waiting=0)
    job = await slipway.wait_for_copies(job.id, timeout=60)
    await heard(http, job, 2)

    async def slow() -> int:
        async with http.get(f"{job.url}/slow") as answer:
            await answer.read()
            if answer.status == 503:
                assert int(answer.headers["Retry-After"]) >= 1
            return answer.status

    calls = [asyncio.create_task(slow()) for _ in range(12)]
    told = await asyncio.gather(*calls)
    assert set(told) == {200, 503}
    assert told.count(200) >= 2  # as many as there are copies


async def test_logs_are_followed_over_the_death_of_a_container(
    slipway: Patient, create: Create, http: aiohttp.ClientSession, release: Installed
) -> None:
    job = await create()
    platform = release.platform
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "slipway", "logs", job.id, "--follow"),
        env={
            **os.environ,
            "SLIPWAY_URL": platform.api_url,
            "SLIPWAY_TOKEN": platform.token,
            "SLIPWAY_PROJECT": "local/default",
        },
        stdout=PIPE,
    )
    assert process.stdout is not None

    async def line() -> str:
        assert process.stdout is not None
        return (await process.stdout.readline()).decode().strip()

    async with asyncio.timeout(120):
        assert await line() == "begun"
        async with http.post(f"{job.url}/die", data=b"now") as answer:
            assert answer.status in (502, 503)
        assert await line() == "begun"
        await slipway.wait_for_copies(job.id)
        await slipway.stop(job.id)
        said = [await line()]
        while said[-1]:
            said.append(await line())
        assert "begun" not in said  # no line comes twice
        assert await process.wait() == 0


async def test_what_is_terminated_leaves_nothing_on_the_cluster(
    slipway: Patient, create: Create, release: Installed, gpus: Gpus
) -> None:
    job = await create(gpu_type=gpus.type, replicas=2)

    async def found(kinds: str = KINDS) -> list[str]:
        words = ("--namespace", release.workloads, "-l", f"slipway.dev/job={job.id}")
        return (await release.cluster.kubectl("get", kinds, *words, "-o", "name")).split()

    assert {"configmap", "secret", "service", "pod"} <= {
        name.split("/")[0] for name in await found()
    }
    await slipway.stop(job.id)
    await slipway.wait_for_job(job.id, "stopped", timeout=60)
    assert (await slipway.terminate(job.id)).state == "terminated"
    assert await found("pods,deployments") == []
    async with asyncio.timeout(60):  # the rest goes with what it belongs to
        while await found():
            await asyncio.sleep(0.2)


async def test_a_deployment_chooses_one_of_two_targets(
    slipway: Patient, code: Path, http: aiohttp.ClientSession, release: Installed
) -> None:
    assert {each.name: each.kind for each in await slipway.targets()} == {
        TARGET: "kubernetes",
        OTHER: "kubernetes",
    }
    names = {target: f"at-{target}-{uuid.uuid4().hex[:6]}" for target in (TARGET, OTHER)}
    for target, name in names.items():
        version = await slipway.deploy(code, deployment=name, target=target, wait=True, timeout=120)
        job = await slipway.job(version.jobs["who"])
        assert job.target == target
        where = f"{release.workloads}-{OTHER}" if target == OTHER else release.workloads
        assert await heard(http, job, 1) == set(await pods(release, job, where))


async def test_each_target_has_a_queue_of_its_own_and_no_gpu_is_given_by_both(
    slipway: Patient, create: Create, gpus: Gpus
) -> None:
    one = await create(gpu_type=gpus.type, gpu_count=2, target=TARGET)
    other = await create(gpu_type=gpus.type, gpu_count=2, target=OTHER)
    assert (one.target, other.target) == (TARGET, OTHER)
    async with asyncio.timeout(90):  # a target looks every few seconds what others have taken
        while await there(slipway, gpus.type) > 2:
            await asyncio.sleep(0.5)
    waits = await create(gpu_type=gpus.type, target=TARGET, wait=False)
    beside = await create(target=OTHER)
    waits = await slipway.wait_for_job(waits.id, "queued", timeout=60)
    assert beside.state == "running"
    await slipway.stop(other.id)
    waits = await slipway.wait_for_job(waits.id, timeout=60)
    assert waits.gpus[0] not in one.gpus


async def there(slipway: Patient, type: str) -> int:
    """How many GPUs the target `kubernetes` has, held or not."""
    [target] = [each for each in await slipway.targets() if each.name == TARGET]
    return sum(each.total for each in target.gpus if each.type == type)
