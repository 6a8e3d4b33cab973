"""Several API processes on one database, and a client that costs them little."""

from __future__ import annotations

import asyncio
import re
import secrets
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from os import environ
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec

from benchmarks.hammer import Run
from benchmarks.scheduler import world
from services.api import token
from shared.database.embedded import postgres
from shared.database.migrate import migrate
from shared.database.pool import Database
from tests.ports import free_ports

HEAD: Final = re.compile(rb"HTTP/1\.1 (\d+).*?content-length: *(\d+)", re.IGNORECASE | re.DOTALL)
HOST: Final = "127.0.0.1"
OWNERS: Final = 250  # who ask, each with a token; of none wait more builds than may
ADMIN: Final = "owner-0"  # who sees all
TOKENS: Final = """
INSERT INTO tokens (id, owner, role, hash)
SELECT 't-' || given.owner, given.owner,
       CASE given.owner WHEN 'owner-0' THEN 'admin' ELSE 'write' END, given.hash
  FROM unnest($1::text[], $2::bytea[]) AS given (owner, hash)
"""


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """Where the API answers, and to whom."""

    ports: list[int]
    tokens: dict[str, str]  # owner -> token
    database: str
    processor: list[float]  # seconds of each process, once they have ended


@asynccontextmanager
async def opened(home: Path, processes: int, gpus: int) -> AsyncIterator[Doors]:
    """So many API processes over a database with owners and GPUs; the first of them announces."""
    with postgres(home / "postgres") as url:
        doors = Doors(ports=free_ports(processes), tokens=_tokens(), database=url, processor=[])
        await _fill(doors, gpus)
        settings = {"DATABASE_URL": url, "BLOBS_URL": f"file:{home / 'blobs'}"}
        settings["TARGETS"] = world.TARGET
        running = [
            await _start(port, settings, announces=port == doors.ports[0]) for port in doors.ports
        ]
        try:
            for port in doors.ports:
                await _listens(port)
            yield doors
        finally:
            for process in running:
                process.send_signal(signal.SIGTERM)
            said = [await process.communicate() for process in running]
            doors.processor.extend(float(out.split()[-1]) for out, _ in said)


def _tokens() -> dict[str, str]:
    """Of the administrator, and of the owners as the world calls them."""
    return {f"owner-{number}": token.mint() for number in range(OWNERS + 1)}


async def _fill(doors: Doors, gpus: int) -> None:
    async with Database.open(doors.database) as database:
        await migrate(database)
    connection = await asyncpg.connect(doors.database)
    await world.fill(connection, owners=OWNERS, each=0, gpus=gpus)
    hashes = [token.hashed(each) for each in doors.tokens.values()]
    await connection.execute("INSERT INTO owners (name) VALUES ($1)", ADMIN)
    await connection.execute(TOKENS, list(doors.tokens), hashes)
    await connection.close()


async def _start(port: int, settings: dict[str, str], *, announces: bool) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.scheduler.serving", str(port)),
        *(["RELAY"] if announces else []),
        env={**environ, **settings},
        stdout=PIPE,
    )


async def _listens(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                return writer.close()


def request(method: str, path: str, bearer: str, body: Any = None) -> bytes:
    """One that is ready to be sent. A POST has an Idempotency-Key, as those of our clients do."""
    head = f"{method} /v1{path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {bearer}\r\n"
    if method != "POST":
        return f"{head}\r\n".encode()
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    key = f"Idempotency-Key: {secrets.token_hex(12)}\r\n"
    kind = f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    return f"{head}{key}{kind}".encode() + raw


class Asking:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> Asking:
        return cls(*await asyncio.open_connection(HOST, port))

    async def ask(self, raw: bytes) -> bytes:
        """The answer's body. Raises RuntimeError unless it is a 200 or 201."""
        self._writer.write(raw)
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = HEAD.match(head)
        assert found is not None, head
        body = await self._reader.readexactly(int(found[2]))
        if found[1] not in (b"200", b"201"):
            raise RuntimeError(f"answered {found[1].decode()}: {body[:500].decode()}")
        return body

    def close(self) -> None:
        self._writer.close()


async def flood(ports: Sequence[int], requests: Iterator[bytes], *, connections: int) -> Run:
    """All of the requests, over so many connections to each of the ports."""
    took: list[float] = []

    async def one_after_another(port: int) -> None:
        asking = await Asking.open(port)
        for raw in requests:
            began = time.perf_counter()
            await asking.ask(raw)
            took.append(time.perf_counter() - began)
        asking.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for port in ports:
            for _ in range(connections):
                group.create_task(one_after_another(port))
    return Run(time.perf_counter() - began, took)


async def made(doors: Doors, owner: str, path: str, body: Any) -> Any:
    asking = await Asking.open(doors.ports[0])
    said = await asking.ask(request("POST", path, doors.tokens[owner], body))
    asking.close()
    return msgspec.json.decode(said)
