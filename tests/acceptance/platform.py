"""The whole platform as real processes, in both of its forms, for acceptance tests and drills.

`embedded`: one process with the local bus. `distributed`: four processes over RabbitMQ.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shared.database.embedded import postgres
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
SERVICES = ("api", "builder", "scheduler", "router")


@dataclass(frozen=True)
class Gpus:
    """What a platform has of one type, and what else can be asked for."""

    type: str
    count: int
    other: str
    visible: str | None  # what a server with all of them finds in CUDA_VISIBLE_DEVICES


@dataclass
class Platform:
    """Where it answers, and its processes by name (`platform` when embedded)."""

    home: Path
    api_url: str
    router_url: str
    environ: dict[str, str]
    commands: dict[str, list[str]]
    token: str = ""
    grpc: str = ""  # where the router is asked over gRPC
    registry: str = ""  # where base images come from; "": it knows none
    patience: float = 1.0  # how much longer things may take there than on this machine alone
    swept: bool = False  # whether all that runs on it goes with it, ended or not
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, name: str) -> None:
        log = (self.home / f"{name}.log").open("ab")
        self.processes[name] = await asyncio.create_subprocess_exec(
            *self.commands[name], cwd=ROOT, env=self.environ, stdout=log, stderr=log
        )
        log.close()

    async def kill(self, name: str) -> None:
        """As a power cut would: no handler runs."""
        self.processes[name].kill()
        await self.processes[name].wait()

    async def end(self, name: str, within: float = 30) -> int:
        """SIGTERM, and the exit code."""
        process = self.processes[name]
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(within):
            return await process.wait()

    async def until_ready(self, within: float = 60) -> None:
        async with asyncio.timeout(within), aiohttp.ClientSession() as http:
            for url in (self.api_url, self.router_url):
                while not await _ready(http, url):
                    for name, process in self.processes.items():
                        assert process.returncode is None, self.log(name)
                    await asyncio.sleep(0.05)

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")[-5000:]


async def _ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


@asynccontextmanager
async def embedded(home: Path, **settings: str) -> AsyncIterator[Platform]:
    api, router, grpc = free_ports(3)
    platform = Platform(
        home=home,
        api_url=f"http://127.0.0.1:{api}",
        router_url=f"http://127.0.0.1:{router}",
        grpc=f"127.0.0.1:{grpc}",
        environ={
            **os.environ,
            "SLIPWAY_HOME": str(home),
            "API_PORT": str(api),
            "ROUTER_PORT": str(router),
            "ROUTER_GRPC_PORT": str(grpc),
            **settings,
        },
        commands={"platform": [sys.executable, "-m", "services"]},
    )
    async with _running(platform):
        platform.token = await _token(home / "client.toml")
        yield platform


async def _token(client: Path) -> str:
    """From the file that the platform writes when it answers."""
    async with asyncio.timeout(10):
        while not client.exists():
            await asyncio.sleep(0.02)
    return client.read_text().split('token = "')[1].split('"')[0]


@asynccontextmanager
async def distributed(home: Path, amqp_url: str, **settings: str) -> AsyncIterator[Platform]:
    api, router, grpc, builder, scheduler = free_ports(5)
    with postgres(home / "postgres") as database_url:
        platform = Platform(
            home=home,
            api_url=f"http://127.0.0.1:{api}",
            router_url=f"http://127.0.0.1:{router}",
            grpc=f"127.0.0.1:{grpc}",
            environ={
                **os.environ,
                "DATABASE_URL": database_url,
                "AMQP_URL": amqp_url,
                "BLOBS_URL": f"file:{home / 'blobs'}",
                "SLIPWAY_HOME": str(home),
                "WORK_DIR": str(home / "build"),
                "API_PORT": str(api),
                "ROUTER_PORT": str(router),
                "ROUTER_GRPC_PORT": str(grpc),
                "BUILDER_PORT": str(builder),
                "SCHEDULER_PORT": str(scheduler),
                "ROUTER_URL": f"http://127.0.0.1:{router}",
                **settings,
            },
            commands={name: [sys.executable, "-m", f"services.{name}"] for name in SERVICES},
        )
        async with _running(platform):
            platform.token = await first_token(platform.environ)
            yield platform


async def first_token(environ: dict[str, str]) -> str:
    """What `python -m services.api.first` prints for an operator."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.api.first",
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()


@asynccontextmanager
async def _running(platform: Platform) -> AsyncIterator[None]:
    platform.home.mkdir(parents=True, exist_ok=True)
    try:
        for name in platform.commands:
            await platform.start(name)
        await platform.until_ready()
        yield
    finally:
        codes = await asyncio.gather(
            *(platform.end(name) for name in platform.processes), return_exceptions=True
        )
        for name, code in zip(platform.processes, codes, strict=True):
            if isinstance(code, BaseException):
                platform.processes[name].kill()
                await platform.processes[name].wait()
