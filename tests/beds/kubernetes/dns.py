"""The cluster's DNS, in little: A records of services, and of pods behind those without an address.

It listens at the node's port 53, UDP alone, inside the cluster's network; what is not the cluster's
it asks this machine's resolver, from this machine's network. What it once answered it goes on
answering while the API server is away. `python -m tests.beds.kubernetes.dns`.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.beds.kubernetes import api, network
from tests.beds.kubernetes.place import DOMAIN, NODE, SERVER

FRESH: Final = 1.0  # seconds that what the API server said is not asked again
WITHIN: Final = 3.0
TTL: Final = 5
A, AAAA = 1, 28
NOTHING, FAILED, NO_NAME = 0, 2, 3
CLONE_NEWNET: Final = 0x40000000

Addresses = tuple[str, ...] | None  # None: there is no such name


def question(query: bytes) -> tuple[str, int, int]:
    """Name, type, and where the question ends. Raises ValueError for what is none."""
    labels, at = [], 12
    try:
        while length := query[at]:
            if length > 63:
                raise ValueError("a pointer")
            labels.append(query[at + 1 : at + 1 + length].decode("ascii"))
            at += 1 + length
        kind, _ = struct.unpack_from("!HH", query, at + 1)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("cut off") from error
    return ".".join(labels).lower(), kind, at + 5


def answer(query: bytes, end: int, code: int, addresses: Addresses = ()) -> bytes:
    """To a query whose question ends there: a header, the question, and A records."""
    found = addresses or ()
    flags = 0x8480 | (query[2] & 1) << 8 | code  # an answer, of authority, recursion available
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + query[12:end]
    records = (struct.pack("!HHHIH", 0xC00C, A, 1, TTL, 4) + socket.inet_aton(at) for at in found)
    return head + b"".join(records)


class Cluster:
    """Names of services, as the API server knows them."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._known: dict[str, tuple[float, Addresses]] = {}

    async def addresses(self, name: str) -> Addresses:
        """Of `[host.]service.namespace.svc`. Raises OSError when nobody knows."""
        said, found = self._known.get(name, (0.0, None))
        if said and time.monotonic() - said < FRESH:
            return found
        try:
            found = await self._ask(name)
        except (aiohttp.ClientError, TimeoutError) as error:
            if said:
                return found
            raise OSError("the API server is away") from error
        self._known[name] = time.monotonic(), found
        return found

    async def _ask(self, name: str) -> Addresses:
        *host, service, namespace, kind = (
            name.split(".")[-4:] if name.count(".") in (2, 3) else ("",) * 3
        )
        if kind != "svc":
            return None
        place = f"/api/v1/namespaces/{namespace}"
        whole = await self._get(f"{place}/services/{service}")
        if whole is None:
            return None
        address = whole["spec"].get("clusterIP", "None")
        if address != "None":
            return None if host else (address,)
        behind = await self._get(f"{place}/endpoints/{service}") or {}
        ready = [
            each for part in behind.get("subsets") or () for each in part.get("addresses") or ()
        ]
        found = tuple(each["ip"] for each in ready if not host or each.get("hostname") == host[0])
        return found if found or not host else None

    async def _get(self, path: str) -> dict[str, Any] | None:
        async with self._session.get(SERVER + path) as response:
            if response.status in (400, 404):
                return None
            response.raise_for_status()
            found: dict[str, Any] = await response.json()
            return found


async def elsewhere(query: bytes) -> bytes:
    """What this machine's resolver says. Raises OSError."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        await loop.sock_connect(asking, (resolver(), 53))
        await loop.sock_sendall(asking, query)
        async with asyncio.timeout(WITHIN):
            return await loop.sock_recv(asking, 65535)


def resolver() -> str:
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        match line.split():
            case ["nameserver", address, *_] if ":" not in address:
                return address
    raise OSError("this machine has no resolver")


async def reply(query: bytes, cluster: Cluster) -> bytes:
    name, kind, end = question(query)
    try:
        if not name.endswith(f".{DOMAIN}"):
            return await elsewhere(query)
        found = await cluster.addresses(name.removesuffix(f".{DOMAIN}"))
    except OSError:  # and TimeoutError, which is one
        return answer(query, end, FAILED)
    if found is None:
        return answer(query, end, NO_NAME)
    return answer(query, end, NOTHING, found if kind == A else ())


async def serve(listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    timeout = aiohttp.ClientTimeout(total=WITHIN)
    connector = aiohttp.TCPConnector(ssl=api.context())
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        asyncio.TaskGroup() as tasks,
    ):
        cluster = Cluster(session)

        async def one(query: bytes, asker: Any) -> None:
            with suppress(ValueError, OSError):  # they ask again
                await loop.sock_sendto(listening, await reply(query, cluster), asker)

        while True:
            query, asker = await loop.sock_recvfrom(listening, 4096)
            if len(query) > 12:
                tasks.create_task(one(query, asker))


def listen() -> socket.socket:
    """A socket in the cluster's network; we stay in ours."""
    enter = ctypes.CDLL(None, use_errno=True).setns
    ours, theirs = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", network.FOLDER))
    if enter(theirs, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), f"entering {network.FOLDER}")
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((NODE, 53))
    listening.setblocking(False)
    if enter(ours, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "coming back")
    return listening


if __name__ == "__main__":
    asyncio.run(serve(listen()))
