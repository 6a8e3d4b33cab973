"""PostgreSQL and the way to it fail under a platform of separate services: power cuts, a server
that stands still, one that is too slow, a full disk, and a network that is far and loses packets.

All is real: the processes, the broker, and a PostgreSQL that syncs what it writes. One platform goes
through it all, in the order of this file, and one endpoint answers on it from the first test to the
last but one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from benchmarks.drill.load import empty_source
from services.api.logs import LOGS_BEFORE
from shared.database import pool
from slipway import AsyncClient
from slipway.types import Job
from tests.acceptance.conftest import known
from tests.acceptance.platform import SERVICES, Platform, distributed
from tests.postmaster import Postmaster
from tests.proxy import Far, opened
from tests.servers import private

pytestmark = pytest.mark.asyncio(loop_scope="module")

GPUS = {"gpu_type": "rtx3090"}
# what runs ends with its scheduler, so that nothing is left of a test that failed
SETTINGS = {"SLIPWAY_GPUS": "rtx3090:2", "STOP_GRACE": "3", "END_REPLICAS": "true"}
CODE = "def add(a, b): return a + b\n"
BODY = [{"name": name, "type": "int"} for name in "ab"]
ROUTES = [{"path": "/add", "verb": "POST", "file": "it", "function": "add", "body": BODY}]

BACK = 10.0  # seconds in which every service is at work again: D01
FROZEN, PAUSED = 60.0, 30.0  # seconds: D02, and of these in C02
DEADLINE = pool.ACQUIRE + pool.COMMAND + pool.ACQUIRE  # a connection, an answer, and its way back
BUSY = 3.0  # seconds that this machine may be slower than what is measured here
POOLED = 4 * 10  # connections that the services may have at most, beside their own

LISTENERS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = '' AND query <> ''"
LEADER = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'slipway scheduler%'"
POOLS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'slipway'"
STUCK = """
SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'slipway%'
   AND state <> 'idle' AND clock_timestamp() - state_change > interval '20 s'
"""
WAITING = """
SELECT count(*) FROM pg_stat_activity
 WHERE wait_event_type = 'Lock' AND left(query, 100) = left($1, 100)
"""
UNTOLD = """
SELECT count(*) FROM events
 WHERE announced_at IS NULL AND time < clock_timestamp() - interval '3 s'
"""
HALF = """
SELECT 'version without a job', v.id FROM versions v
 WHERE NOT EXISTS (SELECT FROM jobs WHERE version = v.id)
UNION ALL
SELECT 'job without its event', j.id FROM jobs j WHERE NOT EXISTS (
    SELECT FROM events WHERE subject = j.id AND type = 'slipway.job.submitted.v1')
UNION ALL
SELECT 'version without its event', v.id FROM versions v WHERE NOT EXISTS (
    SELECT FROM events WHERE subject = v.id AND type = 'slipway.version.submitted.v1')
UNION ALL
SELECT 'event without its job', subject FROM events
 WHERE type = 'slipway.job.submitted.v1' AND NOT EXISTS (SELECT FROM jobs WHERE id = subject)
UNION ALL
SELECT 'answer without its job', key FROM answers WHERE status = 201 AND NOT EXISTS (
    SELECT FROM jobs WHERE id = convert_from(body, 'UTF8')::json ->> 'id')
"""


class Said(NamedTuple):
    status: int
    text: str
    took: float  # seconds


class Scene:
    def __init__(
        self, platform: Platform, http: aiohttp.ClientSession, slipway: AsyncClient, code: Path
    ) -> None:
        self.platform = platform
        self.postmaster = Postmaster(platform.home / "postgres")
        self.slipway = slipway
        self._http = http
        self._code = code
        self.steady: Job | None = None

    async def create(self, name: str, **options: Any) -> Job:
        options = {"routes": ROUTES, **GPUS, **options}
        return await self.slipway.create_endpoint(name, self._code, **options)

    async def ask(self, method: str, path: str, **options: Any) -> Said:
        """The API, without trying again; `path` may also be a whole URL."""
        url = path if path.startswith("http") else f"{self.platform.api_url}/v1{path}"
        headers = {"Authorization": f"Bearer {self.platform.token}", **options.pop("headers", {})}
        began = time.monotonic()
        async with self._http.request(method, url, headers=headers, **options) as answer:
            return Said(answer.status, await answer.text(), time.monotonic() - began)

    async def ready(self, service: str) -> Said:
        port = self.platform.environ[f"{service.upper()}_PORT"]
        return await self.ask("GET", f"http://127.0.0.1:{port}/readyz")

    async def all_ready(self) -> None:
        for service in SERVICES:
            said = await self.ready(service)
            assert said.status == 200, f"{service}: {said.text}"

    async def answers(self, job: Job | None = None) -> None:
        """Both what the router says for it, and what it says itself."""
        job = job or self.steady
        assert job is not None
        ping = await self.ask("GET", f"{job.url}/ping")
        called = await self.ask("POST", f"{job.url}/add", json={"a": 2, "b": 3})
        assert (ping.status, called.status, called.text) == (200, 200, "5"), (ping, called)

    async def value(self, query: str, *values: Any) -> Any:
        rows = await self.rows(query, *values)
        return rows[0][0]

    async def rows(self, query: str, *values: Any) -> list[Any]:
        connection = await self.connect()
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def connect(self) -> Any:
        return await asyncpg.connect(
            self.platform.environ["DATABASE_URL"], server_settings={"application_name": "test"}
        )

    def signal(self, number: signal.Signals) -> None:
        """To every process of the platform's own."""
        for process in self.platform.processes.values():
            process.send_signal(number)

    def alive(self) -> None:
        for name, process in self.platform.processes.items():
            assert process.returncode is None, self.platform.log(name)

    async def no_mistakes(self) -> None:
        """Of its own, which are another thing than trouble."""
        self.alive()
        told = await self.ask("GET", f"{self.platform.api_url}/metrics")
        assert 'status="500"' not in told.text, self.platform.log("api")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    # not among pytest's own: see tests/conftest.py
    with TemporaryDirectory(prefix="slipway-outages-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(home: Path) -> AsyncIterator[Scene]:
    (home / "code").mkdir()
    (home / "code" / "it.py").write_text(CODE)
    limit = aiohttp.ClientTimeout(total=60)
    with private(home / "rabbit") as rabbit:
        async with (
            distributed(home, rabbit.url, **SETTINGS) as platform,
            aiohttp.ClientSession(timeout=limit) as http,
            AsyncClient(platform.api_url, platform.token, "local/default") as slipway,
        ):
            await known(platform)
            scene = Scene(platform, http, slipway, home / "code")
            scene.steady = await scene.create("steady")
            scene.steady = await slipway.wait_for_job(scene.steady.id, timeout=60)
            yield scene


async def until(look: Any, within: float) -> None:
    """Returns when `look` raises no AssertionError any more."""
    deadline = time.monotonic() + within
    while True:
        try:
            return await look()
        except (AssertionError, OSError, asyncpg.PostgresError, aiohttp.ClientError):
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


async def test_D01_after_a_power_cut_of_the_database_all_is_at_work_again_and_nothing_is_lost(
    scene: Scene,
) -> None:
    listeners = await scene.value(LISTENERS)
    accepted: dict[str, str] = {}
    enough = asyncio.Event()

    async def load(who: str) -> None:
        """As our client does it: each under a key of its own, and again until it is answered."""
        while not enough.is_set():
            name = f"load-{who}-{uuid.uuid4().hex[:6]}"
            job = await scene.create(name, gpu_count=2)  # so many are never free: it stays queued
            accepted[job.id] = name
            await asyncio.sleep(0.4)

    async def at_work() -> None:
        await scene.all_ready()
        assert await scene.value(LEADER) == 1
        assert await scene.value(LISTENERS) >= listeners
        assert await scene.value(UNTOLD) == 0

    async with asyncio.TaskGroup() as group:
        for who in "ab":
            group.create_task(load(who))
        await asyncio.sleep(2)
        await asyncio.to_thread(scene.postmaster.crash)
        assert (await scene.ask("GET", "/jobs")).status == 503
        await scene.answers()
        await asyncio.sleep(1)
        await asyncio.to_thread(scene.postmaster.start)
        before = len(accepted)
        await until(at_work, within=BACK)
        await until(lambda: _more(accepted, before), within=BACK)
        enough.set()
    assert await scene.rows(HALF) == []
    jobs = {job.id: job for job in await scene.slipway.jobs() if job.name.startswith("load-")}
    assert {job.id: job.name for job in jobs.values()} == accepted
    for job in accepted:
        await scene.slipway.wait_for_job(job, "queued", timeout=60)
        await scene.slipway.stop(job)
    await scene.no_mistakes()
    await scene.answers()


async def _more(found: dict[str, str], than: int) -> None:
    assert len(found) > than


async def test_D02_C02_a_database_and_then_a_machine_that_stand_still_go_on_as_if_nothing_had_been(
    scene: Scene,
) -> None:
    assert scene.steady is not None
    before = await scene.slipway.job(scene.steady.id)
    own = await scene.value(LEADER) + await scene.value(LISTENERS)
    scene.postmaster.freeze()
    try:
        began = time.monotonic()
        await _stand_still(scene, until=began + FROZEN - PAUSED)
        scene.signal(signal.SIGSTOP)
        await asyncio.sleep(began + FROZEN - time.monotonic())
    finally:
        scene.postmaster.thaw()
        scene.signal(signal.SIGCONT)

    async def as_before() -> None:
        await scene.all_ready()
        assert await scene.value(LEADER) + await scene.value(LISTENERS) == own
        assert await scene.value(POOLS) <= POOLED
        assert await scene.value(STUCK) == 0

    await until(as_before, within=60)
    at_once = await asyncio.gather(*(scene.ask("GET", "/jobs?limit=1") for _ in range(30)))
    assert {said.status for said in at_once} == {200}  # every connection of its pool is of use
    now = await scene.slipway.job(scene.steady.id)
    assert (now.state, now.attempt, now.restarts) == ("running", before.attempt, before.restarts)
    await scene.answers()
    job = await scene.create("after-it-stood-still")
    job = await scene.slipway.wait_for_job(job.id, timeout=60)
    await scene.answers(job)
    await scene.slipway.stop(job.id)
    await scene.slipway.wait_for_job(job.id, "stopped", timeout=60)
    assert await scene.rows(HALF) == []
    await scene.no_mistakes()


async def _stand_still(scene: Scene, until: float) -> None:
    """What can be had while the database does not answer, and in what time."""
    asked: list[asyncio.Task[Said]] = []
    async with asyncio.TaskGroup() as group:
        while time.monotonic() < until - DEADLINE - BUSY:
            key = {"Idempotency-Key": uuid.uuid4().hex}
            stop = f"/jobs/{uuid.uuid4().hex}/stop"
            asked.append(group.create_task(scene.ask("GET", "/jobs")))
            asked.append(group.create_task(scene.ask("POST", stop, headers=key)))
            await scene.answers()
            await asyncio.sleep(1)
    said = [task.result() for task in asked]
    assert {each.status for each in said} == {503}
    assert max(each.took for each in said) <= DEADLINE + BUSY
    assert (await scene.ready("api")).status == 503
    await scene.answers()


async def test_D03_when_slow_queries_have_every_connection_the_api_says_so_soon(
    scene: Scene,
) -> None:
    assert scene.steady is not None
    slow = f"/jobs/{scene.steady.id}/logs"
    holder = await scene.connect()

    async def exhausted() -> None:
        waiting.append(group.create_task(scene.ask("GET", slow)))
        # not asked by the holder, to whom it stays as it was when its transaction began
        assert await scene.value(WAITING, LOGS_BEFORE) == 10  # the whole pool

    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE logs IN ACCESS EXCLUSIVE MODE")
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(scene.ask("GET", slow)) for _ in range(9)]
                await until(exhausted, within=60)
                said, ready = await asyncio.gather(scene.ask("GET", "/jobs"), scene.ready("api"))
                await scene.answers()
                await holder.execute("COMMIT")
    finally:
        await holder.close()
    assert (said.status, ready.status) == (503, 503)
    assert max(said.took, ready.took) <= pool.ACQUIRE + BUSY
    assert "no connection to the database is free" in ready.text
    assert 200 in {task.result().status for task in waiting} <= {200, 503}
    assert (await scene.ready("api")).status == 200


async def test_D08_a_full_disk_refuses_writes_and_nothing_else_until_there_is_space(
    scene: Scene, home: Path
) -> None:
    """The tables are on a small disk, the log that PostgreSQL writes ahead is not: without space
    for that, it ends itself, which is D01."""
    with small_disk(home / "small", scene.postmaster.user):
        uploads = "/projects/local/default/uploads"
        source = json.loads((await scene.ask("POST", uploads, data=empty_source())).text)["digest"]
        connection = await scene.connect()
        try:
            async with moved(connection, home / "small"):
                await fill(connection)
                refused = [await submitted(scene, source)]
                while 503 not in refused[:-3] and len(refused) < 60:
                    refused.append(await submitted(scene, source))
                assert 503 in refused
                assert set(refused) <= {201, 503}  # what fits into the pages that there are does
                assert (await scene.ask("GET", "/jobs")).status == 200
                await scene.all_ready()
                await scene.answers()
                await scene.no_mistakes()
                await connection.execute("DROP TABLE filler")
                assert await submitted(scene, source) == 201
                for job in await scene.slipway.jobs():
                    if job.name.startswith("disk-"):  # accepted, before or after
                        await scene.slipway.wait_for_job(job.id, "queued", timeout=60)
                        await scene.slipway.stop(job.id)
                job = await scene.create("after-the-disk-was-full")
                await scene.answers(await scene.slipway.wait_for_job(job.id, timeout=60))
                await scene.slipway.stop(job.id)
        finally:
            await connection.close()
    await scene.no_mistakes()


async def submitted(scene: Scene, source: str) -> int:
    """The status of one submission, which is not sent again. Its job stays in the queue."""
    ask = {
        "name": f"disk-{uuid.uuid4().hex[:6]}",
        "resources": {"gpu_types": [GPUS["gpu_type"]], "gpu_count": 2},
        "model": {"source_type": "local", "source_uri": source},
        "endpoint": {"start_command": "sleep 3600"},
    }
    return (await scene.ask("POST", "/projects/local/default/endpoints", json=ask)).status


@contextmanager
def small_disk(folder: Path, user: str | None) -> Iterator[None]:
    """32 MiB, which PostgreSQL may use."""
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder.mkdir()
    options = "size=32m,mode=0700" + (f",uid={user}" if user else f",uid={os.geteuid()}")
    mount = [*root, "mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield
    finally:
        subprocess.run([*root, "umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def moved(connection: Any, folder: Path) -> AsyncIterator[None]:
    """All tables are there, and come back."""
    await connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
    await _move(connection, "pg_default", "small")
    try:
        yield
    finally:
        await connection.execute("DROP TABLE IF EXISTS filler")
        await _move(connection, "small", "pg_default")
        await connection.execute("DROP TABLESPACE small")


async def _move(connection: Any, here: str, there: str) -> None:
    for what in ("TABLE", "INDEX"):
        move = f"ALTER {what} ALL IN TABLESPACE {here} SET TABLESPACE {there}"
        for _ in range(20):
            with suppress(asyncpg.DeadlockDetectedError):  # others are at work
                await connection.execute(move)
                break
        else:
            raise AssertionError(f"no luck with {move}")


async def fill(connection: Any) -> None:
    await connection.execute("CREATE TABLE filler (text text STORAGE PLAIN) TABLESPACE small")
    rows = 4096
    while rows:
        try:
            await connection.execute(
                "INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, $1)", rows
            )
        except asyncpg.DiskFullError:
            rows //= 2


async def test_C05_over_a_bad_network_an_endpoint_is_deployed_called_and_stopped(
    scene: Scene,
) -> None:
    """200 ms there and back between the services and PostgreSQL and RabbitMQ, and one piece in
    twenty comes later still."""
    assert scene.steady is not None
    await scene.slipway.stop(scene.steady.id)
    await scene.slipway.wait_for_job(scene.steady.id, "stopped", timeout=60)
    near = scene.platform.environ
    url, broker = urlsplit(near["DATABASE_URL"]), urlsplit(near["AMQP_URL"])
    socket = f"{parse_qs(url.query)['host'][0]}/.s.PGSQL.5432"
    async with (
        opened(Far(socket, late=0.1)) as database,
        opened(Far(broker.hostname or "", broker.port or 0, late=0.1)) as rabbit,
    ):
        for name in SERVICES:
            await scene.platform.end(name)
        scene.platform.environ = near | {
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{database.port}{url.path}",
            "AMQP_URL": near["AMQP_URL"].replace(f":{broker.port}/", f":{rabbit.port}/"),
        }
        try:
            for name in SERVICES:
                await scene.platform.start(name)
            await scene.platform.until_ready(within=120)
            job = await scene.create("far")
            job = await scene.slipway.wait_for_job(job.id, timeout=120)
            await until(lambda: scene.answers(job), within=30)  # the news is slow to reach routers
            await scene.slipway.stop(job.id)
            await scene.slipway.wait_for_job(job.id, "stopped", timeout=120)
            assert min(database.accepted, rabbit.accepted) >= len(SERVICES)
            await scene.no_mistakes()
        finally:
            for name in SERVICES:
                await scene.platform.end(name)
