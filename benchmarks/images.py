"""Images: from submit to a version that is ready, pushed, beside buildah in the same run.

The example has a dependency layer of 100 MB. Each round changes one line of code on both sides;
`buildah` builds the equivalent Dockerfile, its layer cache warm, and pushes to the same registry.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import statistics
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from benchmarks.drill.load import Client
from benchmarks.submissions import database_url
from benchmarks.table import Figure
from tests.acceptance.platform import Platform, embedded
from tests.beds.ground import ground

MEGABYTES: Final = 100
BASE: Final = "python:3.11"
YAML: Final = f"""\
- endpoint:
    name: bench
    image: {BASE}
    server-command: sleep 3600
    resources: {{devices: {{nvidia.com/gpu: 1}}}}
"""
DOCKERFILE: Final = """\
FROM {base}
COPY big-1.0-py3-none-any.whl /tmp/
RUN python3 -m zipfile -e /tmp/big-1.0-py3-none-any.whl /slipway/python/lib/python3.11/site-packages
COPY code /valohai/code
"""


def wheel(folder: Path, megabytes: int) -> Path:
    """A package of that size, of which nothing can be packed smaller."""
    info = "big-1.0.dist-info"
    content = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: big\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"big/part{number}.bin": os.urandom(1 << 20) for number in range(megabytes)},
    }
    rows = [f"{name},sha256={_hash(body)},{len(body)}" for name, body in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = folder / "big-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in content.items():
            archive.writestr(name, body)
    return path


def _hash(body: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


def code(number: int) -> dict[str, str]:
    return {"serve.py": f"print({number})\n", "requirements.txt": "big==1.0\n"}


def packed(files: Mapping[str, str]) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return body.getvalue()


class Ours:
    def __init__(self, client: Client, database: asyncpg.Connection[Any]) -> None:
        self._client = client
        self._database = database
        self._place = "/projects/local/default/deployments/bench"

    async def begin(self) -> None:
        status, answer = await self._client.ask(
            "POST",
            "/projects/local/default/deployments",
            json={"name": "bench"},
        )
        assert status == 201, answer

    async def version(self, number: int) -> tuple[float, float]:
        """Seconds from submit to ready, and those of them that the builder took."""
        source = await self._client.upload(packed(code(number)))
        began = time.perf_counter()
        body = {"source": source, "config": YAML}
        status, made = await self._client.ask("POST", f"{self._place}/versions", json=body)
        assert status == 201, made
        while made["state"] == "building":
            await asyncio.sleep(0.005)
            _, made = await self._client.ask("GET", f"{self._place}/versions/{made['name']}")
        took = time.perf_counter() - began
        assert made["state"] == "ready", made["reason"]
        return took, await self._built(made["id"], *made["jobs"].values())

    async def _built(self, version: str, *jobs: str) -> float:
        return float(
            await self._database.fetchval(
                """
                SELECT extract(epoch FROM max(ready.time) - min(building.time))
                  FROM events AS ready, events AS building
                 WHERE ready.type = 'slipway.version.ready.v1' AND ready.subject = $1
                   AND building.type = 'slipway.job.building.v1' AND building.subject = ANY ($2)
                """,
                version,
                list(jobs),
            )
        )


class Buildah:
    def __init__(self, folder: Path, address: str, big: Path) -> None:
        self._folder = folder / "buildah"
        self._address = address
        (self._folder / "code").mkdir(parents=True)
        (self._folder / big.name).write_bytes(big.read_bytes())
        (self._folder / "Dockerfile").write_text(
            DOCKERFILE.format(base=f"{address}/{BASE}"), encoding="utf-8"
        )

    async def version(self, number: int) -> float:
        for name, text in code(number).items():
            path = self._folder / "code" / name
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
        began = time.perf_counter()
        options = ("--isolation", "chroot", "--layers", "--tls-verify=false", "-q", "-t", "peer")
        await self._run("bud", *options, str(self._folder))
        await self._run("push", "-q", "--tls-verify=false", "peer", f"{self._address}/peer:latest")
        return time.perf_counter() - began

    async def end(self) -> None:
        await self._run("rmi", "--all", "--force")

    async def _run(self, *words: str) -> None:
        roots = ("--root", str(self._folder / "root"), "--runroot", str(self._folder / "run"))
        process = await asyncio.create_subprocess_exec(
            *("buildah", *roots, *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode(errors="replace")


async def measure(folder: Path, rounds: int) -> list[Figure]:
    async with AsyncExitStack() as stack:
        stands_on = await stack.enter_async_context(ground(folder / "ground", BASE))
        address = stands_on.registry
        wheels = folder / "wheels"
        wheels.mkdir()
        big = await asyncio.to_thread(wheel, wheels, MEGABYTES)
        platform = await stack.enter_async_context(
            embedded(
                folder / "home",
                SLIPWAY_GPUS="bench:1",  # the first version keeps it, so the others are only built
                **stands_on.settings,
                UV_FIND_LINKS=str(wheels),
                UV_NO_INDEX="1",
                LOG_LEVEL="WARNING",
            )
        )
        http = await stack.enter_async_context(aiohttp.ClientSession())
        database = await asyncpg.connect(database_url(platform.home))
        stack.push_async_callback(database.close)
        ours = Ours(_client(http, platform), database)
        await ours.begin()
        peer = Buildah(folder, address, big)
        stack.push_async_callback(peer.end)
        return await _compare(ours, peer, rounds)


def _client(http: aiohttp.ClientSession, platform: Platform) -> Client:
    return Client(http, platform.api_url, platform.token)


async def _compare(ours: Ours, peer: Buildah, rounds: int) -> list[Figure]:
    cold, _ = await ours.version(0)
    cold_peer = await peer.version(0)
    changed = [(await ours.version(n), await peer.version(n)) for n in range(1, rounds + 1)]
    same = [(await ours.version(rounds), await peer.version(rounds)) for _ in range(rounds)]
    figures = [_figure("cold build, pushed", cold, cold_peer, "buildah, cold")]
    for what, runs in (("code changed", changed), ("nothing changed", same)):
        figures += [
            _figure(
                f"{what}: submit to ready",
                _median(runs, lambda run: run[0][0]),
                _median(runs, lambda run: run[1]),
                "buildah bud --layers, and push",
            ),
            _figure(
                f"{what}: the builder's part",
                _median(runs, lambda run: run[0][1]),
                _median(runs, lambda run: run[1]),
                "the same",
            ),
        ]
    return figures


Run = tuple[tuple[float, float], float]


def _median(runs: list[Run], take: Callable[[Run], float]) -> float:
    return statistics.median(map(take, runs))


def _figure(what: str, ours: float, anchor: float, note: str) -> Figure:
    return Figure(
        what=what,
        ours=f"{ours * 1e3:.0f} ms",
        anchor=f"{anchor * 1e3:.0f} ms",
        ratio=anchor / ours,
        note=note,
    )
