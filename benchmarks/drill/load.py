"""The drill's client: submits jobs, stops some, and remembers what it was promised."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import tarfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp

T = TypeVar("T")

GPU: Final = "drill"
FAIL: Final = "broken"  # jobs of this kind have to fail
COLLISION: Final = "COLLISION on GPU"
ROUTE: Final = {"path": "/x", "verb": "POST", "file": "nowhere", "function": "f", "body": []}


def command(referee: Path) -> str:
    """A server that holds a lock for the GPU it was given as long as it lives.

    The kernel tells it when another replica holds the same GPU: then it says so in its log.
    """
    lock = f'"{referee}/gpu-$CUDA_VISIBLE_DEVICES"'
    return (
        f"flock -n -E 97 {lock} sh -c 'sleep 3600; : {referee}'; code=$?; "
        f'[ $code != 97 ] || echo "{COLLISION} $CUDA_VISIBLE_DEVICES"; exit $code'
    )


def empty_source() -> bytes:
    """The smallest code there is: one empty file."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("README"))
    return content.getvalue()


class Promises:
    """What the platform accepted, written down and synced before anything else is done."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self.accepted: dict[str, str] = {}

    def keep(self, job: str, ending: str) -> None:
        self._file.write(json.dumps([job, ending]) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.accepted[job] = ending

    def close(self) -> None:
        self._file.close()


class Client:
    """Asks until it gets an answer: every request carries an Idempotency-Key, as ours do."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = f"{url}/v1"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def ask(
        self, method: str, path: str, *, data: bytes | None = None, **options: Any
    ) -> tuple[int, Any]:
        key = {"Idempotency-Key": os.urandom(12).hex()} if method == "POST" else {}
        while True:
            try:
                async with self._http.request(
                    method,
                    self._url + path,
                    data=data,
                    headers={**self._headers, **key},
                    timeout=aiohttp.ClientTimeout(total=15),
                    **options,
                ) as answer:
                    if answer.status < 500:
                        return answer.status, await answer.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                pass  # it was killed; ask again
            await asyncio.sleep(0.1)

    async def upload(self, content: bytes) -> str:
        status, body = await self.ask("POST", "/projects/local/default/uploads", data=content)
        assert status == 201, body
        return str(body["digest"])


class Load:
    def __init__(
        self, client: Client, promises: Promises, referee: Path, source: str, rng: random.Random
    ) -> None:
        self._client = client
        self._source = source
        self._promises = promises
        self._command = command(referee)
        self._rng = rng
        self._count = 0

    async def ready(self) -> None:
        """Returns when the platform knows of the GPUs: its target tells of them a moment later."""
        async with asyncio.timeout(60):
            while True:
                _, page = await self._client.ask("GET", "/gpus")
                if GPU in [each["type"] for each in page["items"]]:
                    return
                await asyncio.sleep(0.1)

    async def submit(self) -> None:
        """One endpoint; one in eight can never start and has to fail."""
        self._count += 1
        broken = self._count % 8 == 0
        entry = {"routes": [ROUTE]} if broken else {"start_command": self._command}
        status, body = await self._client.ask(
            "POST",
            "/projects/local/default/endpoints",
            json={
                "name": f"{FAIL if broken else 'drill'}-{self._count}",
                "resources": {"gpu_types": [GPU], "gpu_count": 1},
                "model": {"source_type": "local", "source_uri": self._source},
                "endpoint": entry,
            },
        )
        assert status == 201, body
        self._promises.keep(body["id"], "failed" if broken else "stopped")

    async def stop_one(self) -> None:
        """A job that runs, if there is one, so that those behind it get its GPU."""
        _, page = await self._client.ask("GET", "/jobs?state=running&limit=100")
        if page["items"]:
            await self.stop(self._rng.choice(page["items"])["id"])

    async def stop(self, job: str) -> None:
        status, body = await self._client.ask("POST", f"/jobs/{job}/stop")
        assert status in (200, 409), body

    async def until(self, stopping: asyncio.Event) -> None:
        """Submit and stop, a few times a second."""
        while not stopping.is_set():
            await self.submit()
            await self.stop_one()
            await asyncio.sleep(self._rng.uniform(0.1, 0.5))


async def retried(work: Callable[[], Awaitable[T]], *, within: float) -> T:
    """`work` again and again while it raises AssertionError, for at most `within` seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        try:
            return await work()
        except AssertionError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.5)
