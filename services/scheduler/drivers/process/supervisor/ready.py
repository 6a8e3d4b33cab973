"""When a server counts as ready, by what its format promises."""

from __future__ import annotations

import asyncio
import os
import time

from . import family
from .forward import HOSTS
from .listening import held_by, listeners
from .spec import Spec

SOONEST, LATEST = 0.005, 0.05  # seconds between two looks
SHARE = 0.05  # of the time it has taken so far: what starts quickly is seen quickly
ALIVE = 0.3  # seconds after which a server without a promise counts as ready
PATIENCE = 2.0  # seconds for an answer to a ping
ASK = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def wait(spec: Spec) -> None:
    """Return once the life that has just begun is ready; never, if it never is."""
    if spec.readiness == "none":
        await asyncio.sleep(ALIVE)
        return
    began = time.monotonic()
    while not await _ready(spec):  # the kernel does not tell, it can be asked
        taken = time.monotonic() - began
        await asyncio.sleep(min(LATEST, max(SOONEST, SHARE * taken)))


async def _ready(spec: Spec) -> bool:
    found = listeners(spec.port)
    if not found:
        return False
    if not spec.isolated and not held_by(family.descendants(os.getpid()), found):
        return False  # somebody else's server on the port that we share with the machine
    return spec.readiness == "listening" or await _pings(spec.port)


async def _pings(port: int) -> bool:
    for host in HOSTS:
        try:
            status = await asyncio.wait_for(_status_line(host, port), PATIENCE)
        except (OSError, ValueError, TimeoutError):
            continue
        if status.split(b" ")[1:2] == [b"200"]:
            return True
    return False


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, limit=4096)
    try:
        writer.write(ASK)
        return await reader.readline()
    finally:
        writer.transport.abort()
