"""What machines and the networks between them do."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.performer import Options
from services.scheduler.reconcile import Policy
from services.scheduler.scheduler import Scheduler
from shared.database.pool import Database
from shared.events import JobStopping
from tests.scheduler.stage import Stage

ROOT = Path(__file__).parents[2]
SOCKET = ".s.PGSQL.5432"
STALL, SLOW = 0.2, 0.002  # seconds that a piece takes whose packet was lost, and that others take

FULL = """
import asyncio, resource, signal, sys
from shared.blobs import Blobs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # no file grows beyond
async def pieces():
    for _ in range(64):
        yield bytes(16_384)
async def main():
    kept = await Blobs.open(sys.argv[1]).put(pieces())
    print("kept", kept.digest)
asyncio.run(main())
"""


def test_C03_a_blob_that_can_not_be_written_whole_is_never_said_to_be_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path.as_uri()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert "kept" not in done.stdout
    assert [path for path in tmp_path.rglob("sha256/*/*") if path.is_file()] == []


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    chance = random.Random(5)
    with suppress(OSError):
        while piece := await reader.read(700):  # also in the middle of messages
            await asyncio.sleep(STALL if chance.random() < 0.05 else SLOW)
            writer.write(piece)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def bad_network(far: Path, near: Path) -> AsyncIterator[None]:
    """A way to a socket on which one piece in twenty is lost and sent again."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, there = await asyncio.open_unix_connection(far)
        for work in (_copy(reader, there), _copy(back, writer)):
            task = asyncio.create_task(work)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(serve, near)
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_C05_over_a_bad_network_jobs_start_and_stop_all_the_same(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = Stage(database)
    await stage.prepare()
    await stage.has(t4=1)
    host = parse_qs(urlsplit(database_url).query)["host"][0]
    near = tmp_path_factory.mktemp("near")
    async with (
        bad_network(Path(host) / SOCKET, near / SOCKET),
        Database.open(database_url.replace(host, str(near))) as far,
    ):
        options = Options(policy=Policy(drain=0.0))
        scheduler = Scheduler(far, FakeDriver(), target="process", options=options)
        job = await stage.job(gpus=1)
        await until(scheduler, stage, job, "running")
        await stage.say_now(JobStopping, job)
        await until(scheduler, stage, job, "stopped")
    assert await stage.facts(job) == [
        *("building", "queued", "placed", "started", "stopping", "stopped")
    ]
    assert await stage.held() == {}


async def until(scheduler: Scheduler, stage: Stage, job: str, state: str) -> None:
    async with asyncio.timeout(60):
        while await stage.state(job) != state:  # type: ignore[arg-type]
            await scheduler.turn()
            await scheduler.settle()
