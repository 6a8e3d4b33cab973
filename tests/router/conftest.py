"""A router on a real socket, with a table that the test fills, and raw clients to ask it with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from services.router.door import Door, Options
from services.router.main import serve
from services.router.proxy import Proxy
from services.router.table import Alias, Route, Table
from shared.address import Address
from shared.endpoint import Serving
from shared.ids import JobId, VersionId
from shared.lifecycle import State
from shared.telemetry import Telemetry
from tests.router.origin import Origin, Script, origin

BASE = Route(
    job=JobId("j000000000001"),
    owner="ann",
    project="shop",
    deployment="mnist",
    version=VersionId("v1"),
    version_name="20261121.0",
    endpoint="predict",
    state=State.RUNNING,
    attempt=1,
    addresses=(Address("http://127.0.0.1:1"),),
    reason="",
    format="valohai",
    routes=False,
    serving=Serving(),
)

PREFIX = "/ann/shop/mnist/20261121.0/predict"


def route(**changes: object) -> Route:
    return msgspec.structs.replace(BASE, **changes)


def alias(name: str = "production", version: str = "v1") -> Alias:
    return Alias(
        owner="ann",
        project="shop",
        deployment="mnist",
        deployment_id="d1",
        name=name,
        version=VersionId(version),
    )


@dataclass
class Got:
    """One answer, as it came over the wire."""

    status: int
    head: bytes
    body: bytes
    closed: bool = False

    def values(self, name: str) -> list[str]:
        lines = self.head.split(b"\r\n")[1:]
        pairs = (line.decode("latin-1").split(":", 1) for line in lines if line)
        return [value.strip() for key, value in pairs if key.lower() == name.lower()]

    def value(self, name: str) -> str | None:
        found = self.values(name)
        return found[0] if found else None

    @property
    def problem(self) -> str:
        assert self.value("content-type") == "application/problem+json", (self.head, self.body)
        return str(msgspec.json.decode(self.body)["type"]).removeprefix("urn:slipway:problem:")


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Got:
    head = await reader.readuntil(b"\r\n\r\n")
    got = Got(int(head.split()[1]), head, b"")
    if head_only or got.status in (204, 304) or got.status < 200:
        return got
    if got.value("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            got.body += (await reader.readexactly(size + 2))[:-2]
        assert await reader.readexactly(2) == b"\r\n"
    elif (length := got.value("content-length")) is not None:
        got.body = await reader.readexactly(int(length))
    else:
        got.body = await reader.read()
    return got


@dataclass
class Router:
    table: Table
    door: Door
    telemetry: Telemetry
    port: int = 0
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(writer)
        return reader, writer

    async def raw(self, request: bytes) -> bytes:
        """All the bytes that come back until the router closes or has nothing more to say."""
        reader, writer = await self.connect()
        writer.write(request)
        async with asyncio.timeout(10):
            return await reader.read()

    async def ask(
        self,
        path: str | bytes,
        *headers: str,
        method: str = "GET",
        body: bytes = b"",
        host: str = "router.test",
    ) -> Got:
        reader, writer = await self.connect()
        target = path.encode() if isinstance(path, str) else path
        lines = [f"Host: {host}", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        writer.write(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method.encode(), target, head, body))
        async with asyncio.timeout(10):
            return await read_answer(reader, head_only=method == "HEAD")

    def route(self, **changes: object) -> Route:
        found = route(**changes)
        self.table.put([found])
        return found


@asynccontextmanager
async def running(
    options: Options | None = None, ready: str | None = None
) -> AsyncIterator[Router]:
    table, telemetry, stopping = Table(), Telemetry(), asyncio.Event()
    door = Door(table, Proxy(), telemetry, lambda: ready, options or Options(patience=0.0))
    found = Router(table, door, telemetry)
    opened = asyncio.Event()

    def on_open(port: int) -> None:
        found.port = port
        opened.set()

    loop = serve(door, host="127.0.0.1", port=0, grace=2.0, opened=on_open)
    task = asyncio.ensure_future(loop(stopping))
    await opened.wait()
    try:
        yield found
    finally:
        for writer in found.clients:
            writer.close()
        stopping.set()
        await task


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    async with running() as found:
        yield found


@pytest.fixture(params=["tcp", "unix"])
async def backend(
    request: pytest.FixtureRequest, router: Router, tmp_path: Path
) -> AsyncIterator[Origin]:
    """An endpoint that runs behind PREFIX; the test gives it a script."""
    path = str(tmp_path / "o.sock") if request.param == "unix" else ""
    async with origin(path=path) as found:
        router.route(addresses=(found.address,))
        yield found


Plays = Callable[[Script], None]
