"""The scheduler with real processes: the way of a job, and a second life of the platform."""

from __future__ import annotations

import asyncio
import sys

import msgspec
import pytest

from services.scheduler.driver import Replica
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from services.scheduler.status import Patience
from shared.events import JobStopping
from shared.image import CODE
from tests.scheduler.assembly import Applied
from tests.scheduler.images import image
from tests.scheduler.stage import Stage
from tests.scheduler.targets import SERVER, free_port, opened, target

RUNTIME = """
import os
from concurrent.futures import ThreadPoolExecutor
import grpc

def status(request, context):
    loaded = os.path.exists("loaded")
    open("loaded", "w").close()
    word = os.path.basename(os.environ["MODEL_DIR"]).encode()
    return b"\\x08\\x01" if loaded else b"\\x08\\x02\\x12" + bytes([len(word)]) + word

server = grpc.server(ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
    "tensorflow.serving.PredictionService",
    {"Status": grpc.unary_unary_rpc_method_handler(status)},
),))
server.add_insecure_port("127.0.0.1:" + os.environ["APP_PORT"])
server.start()
print("serving", flush=True)
server.wait_for_termination()
"""
"""A model's runtime that takes a moment: it serves from the second time that it is asked."""

OPTIONS = Options(policy=Policy(drain=0.0), stop_grace=2.0)


@pytest.fixture
async def stage(database):
    stage = Stage(database)
    await stage.prepare()
    return stage


async def become(stage, scheduler, job, state):
    async with asyncio.timeout(30):
        while await stage.state(job) != state:
            await scheduler.turn()
            await scheduler.settle()
            await asyncio.sleep(0.02)


async def test_a_server_runs_says_something_and_ends(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        scheduler = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "python", "server.py", code={"server.py": SERVER})
        job = await stage.job(image=digest, port=free_port())
        await become(stage, scheduler, job, "running")
        await stage.say(JobStopping(job=job))
        await become(stage, scheduler, job, "stopped")
        assert await stage.lines(job) == ["serving"]
        assert await here.driver.observe() == {}


@pytest.mark.parametrize("kind", ["namespaces", "plain"])
async def test_a_model_runs_when_its_runtime_says_so(database, tmp_path, kind):
    stage = Applied(database)
    await stage.prepare()
    async with target(kind, tmp_path) as here:
        patient = msgspec.structs.replace(OPTIONS, patience=Patience(again=0.5))
        scheduler = Scheduler(database, here.driver, target="process", options=patient)
        code, folder = {"server.py": RUNTIME}, CODE["hydrosphere"]
        digest = await image(here.blobs, sys.executable, "server.py", code=code, folder=folder)
        version = await stage.model("one", image=digest, port=free_port())
        app = await stage.apply("claims", {version: 100})
        (job,) = await stage.servables(app, 1)
        seen = set()
        async with asyncio.timeout(120):
            while await stage.state(job) != "running":
                seen.add((await stage.get(job)).reason)
                await scheduler.turn()
                await scheduler.settle()
                await asyncio.sleep(0.1)  # it has to be let run, too
        assert "NOT_SERVING: model" in seen
        assert (await stage.get(job)).reason == ""
        await stage.say(JobStopping(job=job))
        await become(stage, scheduler, job, "stopped")


async def test_S06_what_runs_is_found_again_and_goes_on(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        first = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "python", "server.py", code={"server.py": SERVER})
        job = await stage.job(image=digest, port=free_port())
        await become(stage, first, job, "running")
        born = (await here.driver.observe())[Replica(job, 1)].since
        async with opened("plain", tmp_path, here.blobs) as again:
            second = Scheduler(stage.database, again, target="process", options=OPTIONS)
            for _ in range(3):
                await second.turn()
                await second.settle()
            assert (await again.observe())[Replica(job, 1)].since == born
            assert await stage.facts(job) == ["building", "queued", "placed", "started"]


async def test_a_program_that_ends_again_and_again_fails_its_job(stage, tmp_path):
    async with target("plain", tmp_path) as here:
        scheduler = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        digest = await image(here.blobs, "/bin/sh", "-c", "echo no model >&2; exit 3")
        job = await stage.job(image=digest, port=free_port())
        await become(stage, scheduler, job, "failed")
        assert (await stage.get(job)).reason.startswith(
            "crash loop: ended with exit code 3 five times in a row; last lines: no model"
        )
        await become(stage, scheduler, job, "failed")
