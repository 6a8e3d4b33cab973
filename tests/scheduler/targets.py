"""The drivers that the shared questions are put to, each opened in a home of its own."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from services.scheduler.driver import Driver, Observed, Phase, Replica, Started, Workload
from services.scheduler.drivers.container import open_container
from services.scheduler.drivers.fake import FakeDriver
from services.scheduler.drivers.outputs import FOLDER
from services.scheduler.drivers.process import open_process
from shared.address import unix_path
from shared.blobs import Blobs
from shared.endpoint import Run
from tests.ports import free_port
from tests.scheduler.container.bed import Bed
from tests.scheduler.images import image, workload

Kind = Literal["fake", "namespaces", "plain", "container", "kubernetes"]
PATIENCE: Final = 20.0
LOOK: Final = 1.0
UNHURRIED: Final = 90.0  # of a cluster, which looks at pods once a second
MARK: Final = "SLIPWAY_TEST_HOME"

SERVER: Final = """
import json, os, pathlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

def read(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError as error:
        return type(error).__name__

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_GET(self):
        words = self.path.strip("/").split("?")
        argument = words[1] if len(words) > 1 else ""
        if words[0] == "write":
            pathlib.Path(argument).write_text("written")
        answer = {
            "env": lambda: dict(os.environ),
            "cwd": os.getcwd,
            "list": lambda: sorted(os.listdir(argument)),
            "read": lambda: read(argument),
        }.get(words[0], lambda: words[0])()
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

print("serving", flush=True)
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Target:
    """A driver, its images, and the few things that tests do with them."""

    def __init__(
        self, kind: Kind, driver: Driver, blobs: Blobs, home: Path, bed: Bed | None = None
    ) -> None:
        self.kind = kind
        self.driver = driver
        self.blobs = blobs
        self.home = home
        self.bed = bed
        self.patience = UNHURRIED if kind == "kubernetes" else PATIENCE

    async def made(
        self,
        *command: str,
        code: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        env: tuple[str, ...] = (),
        **more: Any,
    ) -> Workload:
        """A workload with an image of its own that runs `command`; see images.workload."""
        base = self.bed.base if self.bed else None
        user = "1000:1000" if self.kind == "kubernetes" else ""
        digest = await image(self.blobs, *command, code=code, env=env, base=base, user=user)
        return workload(
            digest,
            environment={MARK: str(self.home), **(environment or {})},
            port=port or free_port(),
            repository=await self.bed.push(self.blobs, digest) if self.bed else "",
            **more,
        )

    async def serving(self, **more: Any) -> Workload:
        """An HTTP server that tells about its surroundings."""
        return await self.made("python", "server.py", code={"server.py": SERVER}, **more)

    async def shell(self, script: str, **more: Any) -> Workload:
        return await self.made("/bin/sh", "-c", script, **{"readiness": "none", **more})

    async def running(self, *lines: str, **more: Any) -> Workload:
        """A run of these lines, in an image whose own server would never end."""
        run = Run(lines=lines)
        environment = {"SLIPWAY_OUTPUTS": FOLDER}
        return await self.made("sleep", "600", run=run, environment=environment, **more)

    async def finished(self, workload: Workload, exit_code: int = 0) -> Observed:
        """Start it and wait for its end, which the fake is told."""
        outcome = await self.driver.start(workload)
        assert outcome == Started(), outcome
        if isinstance(self.driver, FakeDriver):
            self.driver.end(workload.replica, exit_code)
        return await self.until(workload.replica, Phase.FINISHED)

    async def outputs(self, replica: Replica, most: int = 1 << 20) -> dict[str, bytes]:
        """What its run left: files by path, folders with a slash at their end."""
        packed = b"".join([piece async for piece in self.driver.outputs(replica, most)])
        return unpacked(packed)

    async def started(self, workload: Workload) -> str:
        """Start it and return its address, which is not everywhere known at once."""
        outcome = await self.driver.start(workload)
        assert isinstance(outcome, Started), outcome
        if outcome.addresses:
            return outcome.addresses[0]
        return (await self.until(workload.replica, lambda seen: bool(seen.addresses))).addresses[0]

    async def until(self, replica: Replica, wanted: Phase | Callable[[Observed], bool]) -> Observed:
        """What is observed once it is as `wanted`."""
        seen: Observed | None = None
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    self.driver.changed.clear()
                    seen = (await self.driver.observe()).get(replica)
                    if seen is not None and (
                        seen.phase is wanted if isinstance(wanted, Phase) else wanted(seen)
                    ):
                        return seen
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK):  # time alone may change it
                            await self.driver.changed.wait()
        except TimeoutError:
            raise AssertionError(f"never as wanted; last seen: {seen}") from None

    async def texts(self, replica: Replica, wanted: int, stream: str = "stdout") -> list[str]:
        """The first `wanted` lines on a stream, once they are there."""
        async with asyncio.timeout(self.patience):
            while True:
                found = [
                    line.text
                    for line in await self.driver.logs(replica, 0)
                    if line.stream == stream
                ]
                if len(found) >= wanted:
                    return found[:wanted]
                await asyncio.sleep(0.01)


@asynccontextmanager
async def target(
    kind: Kind, home: Path, bed: Bed | None = None, **settings: Any
) -> AsyncIterator[Target]:
    """Open one, and at the end stop what runs there and see that nothing is left of it."""
    blobs = Blobs.open(f"file:{home / 'blobs'}")
    async with opened(kind, home, blobs, bed, **settings) as driver:
        yield Target(kind, driver, blobs, home, bed)
        for replica in await driver.observe():
            await driver.stop(replica, 0)
    assert leftovers(home) == []


def opened(
    kind: Kind, home: Path, blobs: Blobs, bed: Bed | None = None, **settings: Any
) -> AbstractAsyncContextManager[Driver]:
    """A container needs a `bed`; the `settings` are those of processes."""
    if kind == "fake":
        return FakeDriver.open()
    if kind == "container":
        assert bed is not None
        return open_container(home, bed.url)
    return open_process(home, blobs, isolation=kind, **settings)


def leftovers(home: Path) -> list[int]:
    """Processes that were told of `home`, on their command line or in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                told = Path(f"/proc/{name}/cmdline").read_bytes()
                told += Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(home) in told:
                found.append(int(name))
    return found


def unpacked(packed: bytes) -> dict[str, bytes]:
    """The files of a tar by path, and its folders with a slash at their end."""
    if not packed:
        return {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert all(member.isfile() or member.isdir() for member in tar)
        return {
            member.name + "/" * member.isdir(): file.read()
            if (file := tar.extractfile(member))
            else b""
            for member in tar
        }


async def get(address: str, path: str = "/", body: bytes = b"") -> bytes:
    """One request on a connection of its own; what came back after the head."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await _connection(address)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode() + body)
        whole = await reader.read()
        writer.close()
    return whole.partition(b"\r\n\r\n")[2]


async def _connection(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if path := unix_path(address):
        return await asyncio.open_unix_connection(path)
    where = urlsplit(address)
    while True:
        try:
            return await asyncio.open_connection(where.hostname, where.port)
        except ConnectionRefusedError:  # between two lives: nothing was sent, as the router knows
            await asyncio.sleep(0.01)
