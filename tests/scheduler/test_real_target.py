"""The scheduler with real processes: the way of a job, and a second life of the platform."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from services.scheduler.driver import Replica
from services.scheduler.drivers.limits import Limits
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from services.scheduler.status import Patience
from shared.events import JobStopping
from shared.image import CODE
from tests.ports import free_port
from tests.scheduler.assembly import Applied
from tests.scheduler.images import image
from tests.scheduler.stage import Stage
from tests.scheduler.targets import SERVER, opened, target

RUNTIME = """
import os, socket, threading

def status():
    loaded = os.path.exists("loaded")
    open("loaded", "w").close()
    word = os.path.basename(os.environ["MODEL_DIR"]).encode()
    return b"\\x08\\x01" if loaded else b"\\x08\\x02\\x12" + bytes([len(word)]) + word

def frame(kind, flags, stream, body=b""):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body

def header(name, value):
    return b"\\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

HEAD = b"\\x88" + header(b"content-type", b"application/grpc")
TAIL = header(b"grpc-status", b"0")

def answer(line):
    read = line.makefile("rb").read
    read(24)
    line.sendall(frame(4, 0, 0))
    while head := read(9):
        size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream, body = int.from_bytes(head[5:], "big"), read(size)
        if kind in (4, 6) and not flags & 1:
            line.sendall(frame(kind, 1, 0, body if kind == 6 else b""))
        elif kind in (0, 1) and flags & 1:
            told = status()
            data = b"\\0" + len(told).to_bytes(4, "big") + told
            line.sendall(frame(1, 4, stream, HEAD) + frame(0, 0, stream, data))
            line.sendall(frame(1, 5, stream, TAIL))

door = socket.create_server(("127.0.0.1", int(os.environ["APP_PORT"])))
print("serving", flush=True)
while True:
    line, _ = door.accept()
    threading.Thread(target=answer, args=(line,), daemon=True).start()
"""
"""A model's runtime that takes a moment: it serves from the second time that it is asked. It speaks as
much of HTTP/2 as that takes, since what the machine's Python has is not for a test to say."""

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
        digest = await image(here.blobs, "python", "server.py", code=code, folder=folder)
        version = await stage.model("one", image=digest, port=free_port())
        app = await stage.apply("claims", {version: 100})
        (job,) = await stage.servables(app, 1)
        seen = set()
        async with asyncio.timeout(60):
            while await stage.state(job) != "running":
                seen.add((await stage.get(job)).reason)
                await scheduler.turn()
                await scheduler.settle()
                await asyncio.sleep(0.02)
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


async def test_L04_a_server_that_writes_too_much_fails_its_job_and_says_so(stage, tmp_path):
    async with target("namespaces", tmp_path, limits=Limits(disk=8 << 20)) as here:
        scheduler = Scheduler(stage.database, here.driver, target="process", options=OPTIONS)
        writes = "head -c 20000000 /dev/zero >big; sleep 600"
        job = await stage.job(image=await image(here.blobs, "/bin/sh", "-c", writes))
        await become(stage, scheduler, job, "failed")
        assert (await stage.get(job)).reason == "its server wrote more than the 8 MiB that it may"
        async with asyncio.timeout(30):
            while await here.driver.observe():  # what it wrote goes with it
                await scheduler.turn()
                await scheduler.settle()
