"""An origin behind a doorman of its own, both in this process; and some who only pretend to be one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.address import Address, at_doorman
from shared.doorman import NONCE, PROOF, proof, secret
from tests.router.origin import NOWHERE, Origin, Script

KEY = "k" * 32
JOB = "j000000000001"

Meet = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(meet: Meet) -> AsyncIterator[tuple[asyncio.Server, Address]]:
    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield server, at_doorman(*server.sockets[0].getsockname())
    finally:
        server.close()


@asynccontextmanager
async def keeper(
    script: Script | None = None, *, key: str = KEY, job: str = JOB, attempt: int = 1
) -> AsyncIterator[Origin]:
    found = Origin()
    if script is not None:
        found.script = script

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            nonce = await reader.readexactly(NONCE)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        place = writer.get_extra_info("sockname")
        writer.write(proof(secret(key, job, attempt), nonce, *place))
        await found.serve(reader, writer)

    async with listening(meet) as (found.server, found.address):
        yield found


@dataclass
class Foe:
    """Not the copy that the router believes to find."""

    address: Address = NOWHERE
    met: int = 0
    heard: bytes = b""  # all that was said to it
    ended: asyncio.Event = field(default_factory=asyncio.Event)


Says = Callable[[bytes], Awaitable[bytes]]


@asynccontextmanager
async def foe(says: Says) -> AsyncIterator[Foe]:
    """Answers whatever it hears with what `says` makes of it, and notes all of it."""
    found = Foe()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.met += 1
        try:
            while heard := await reader.read(1 << 16):
                found.heard += heard
                writer.write(await says(heard))
        except ConnectionError:
            pass
        finally:
            found.ended.set()
            writer.close()

    async with listening(meet) as (_, found.address):
        yield found


async def silent(heard: bytes) -> bytes:
    return b""


async def guessing(heard: bytes) -> bytes:
    return os.urandom(PROOF)


async def http(heard: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhat?"


async def short(heard: bytes) -> bytes:
    return b"x" * (PROOF - 1)
