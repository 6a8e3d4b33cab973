"""When a server in a container counts as ready, by what its format promises.

Its port is looked at, never connected to (docs/adr/0003): in the kernel's tables of the container's
own network, by way of its first process where that is a process of this machine, else by a command
that reads them inside.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.scheduler.drivers.container.engine import Engine
from services.scheduler.drivers.process.supervisor import listening
from services.scheduler.drivers.process.supervisor.ready import (
    ALIVE,
    ASK,
    LATEST,
    PATIENCE,
    SHARE,
    SOONEST,
)
from shared.endpoint import Readiness

INSIDE: Final = 0.5  # seconds between two looks by a command inside: each starts a process
PROC: Final = Path("/proc")


class Look:
    """At one container."""

    def __init__(
        self, engine: Engine, container: str, mark: str, port: int, readiness: Readiness
    ) -> None:
        self._engine = engine
        self._container = container
        self._mark = mark
        self._port = port
        self._readiness = readiness

    async def ready(self, address: str, pid: int) -> None:
        """Return once the life that has just begun is ready; never, if it never is.

        `pid` is what the engine calls the container's first process.
        """
        if self._readiness == "none":
            await asyncio.sleep(ALIVE)
            return
        began = time.monotonic()
        here = is_ours(pid, self._mark)
        while not await self._ready(address, pid if here else 0):
            taken = time.monotonic() - began
            await asyncio.sleep(min(LATEST, max(SOONEST, SHARE * taken)) if here else INSIDE)

    async def _ready(self, address: str, pid: int) -> bool:
        if pid:
            table = from_here(pid)
        else:
            table = await self._from_inside()
        if not listens(table, self._port):
            return False
        return self._readiness == "listening" or await pings(address)

    async def _from_inside(self) -> str:
        said = await self._engine.run(self._container, "cat", *listening.TABLES)
        return said.decode("ascii", "replace")


def is_ours(pid: int, mark: str) -> bool:
    """Whether `pid` is, on this machine, the process that was told `mark`."""
    with suppress(OSError):
        return mark.encode() in (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    return False


def from_here(pid: int) -> str:
    tables = ""
    for name in listening.TABLES:
        with suppress(OSError):  # no IPv6, or it has ended
            tables += (PROC / str(pid) / name.removeprefix("/proc/")).read_text()
    return tables


def listens(tables: str, port: int) -> bool:
    with suppress(IndexError, ValueError):  # whoever runs inside may have a `cat` of its own
        return any(
            local == port and state == listening.LISTEN
            for local, _, state, _ in listening.rows(tables.splitlines())
        )
    return False


async def pings(address: str) -> bool:
    where = urlsplit(address)
    try:
        async with asyncio.timeout(PATIENCE):
            status = await _status_line(where.hostname or "", where.port or 80)
    except (OSError, ValueError, TimeoutError):
        return False
    return status.split(b" ")[1:2] == [b"200"]


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, limit=4096)
    try:
        writer.write(ASK)
        return await reader.readline()
    finally:
        writer.transport.abort()
