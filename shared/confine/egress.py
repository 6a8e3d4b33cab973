"""The way out of a network of one's own: an HTTP proxy for what is fetched or called from there.

The socket it listens on is made inside, the connections it makes are the machine's. It serves
CONNECT and plain `http://` requests, which is what `HTTPS_PROXY` and `HTTP_PROXY` ask for. What
listens on the machine's own loopback, the platform above all, is not reached through it, unless
whoever serves it says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

PATIENCE = 30.0  # seconds for a request's head, and for a connection
CHUNK = 1 << 16
DROPPED = (b"connection:", b"proxy-connection:", b"proxy-authorization:", b"keep-alive:")


class Request(NamedTuple):
    host: str
    port: int
    opening: bytes  # what is sent ahead; empty for a tunnel


Allowed = Callable[[Request, str], bool]
"""Whether a request may be sent on to this IP address, one of those that its host has."""


class Refused(Exception):
    """The status and reason that the client is told."""


def environment(port: int) -> dict[str, str]:
    """What makes the usual HTTP clients use it."""
    proxy, inside = f"http://127.0.0.1:{port}", "localhost,127.0.0.1,::1"
    pairs = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": inside}
    return {**pairs, **{name.upper(): value for name, value in pairs.items()}}


def door(taken: int) -> socket.socket:
    """A listening socket on any port of this network namespace but `taken`."""
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        if listener.getsockname()[1] != taken:
            return listener
        listener.close()


def parse(head: bytes) -> Request:
    """Where a request wants to go. Raises Refused."""
    first, *fields = head.rstrip(b"\r\n").split(b"\r\n")
    try:
        method, target, _ = first.decode("ascii").split(" ")
        tunnel = method == "CONNECT"
        url = urlsplit(f"//{target}" if tunnel else target)
        port = url.port or 80
    except ValueError as error:
        raise Refused("400 Bad Request") from error
    if not url.hostname or not (tunnel or url.scheme == "http"):
        raise Refused("400 Bad Request")
    if tunnel:
        return Request(url.hostname, url.port or 443, b"")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    kept = [field for field in fields if not field.lower().startswith(DROPPED)]
    lines = [f"{method} {path} HTTP/1.1".encode(), *kept, b"Connection: close", b"", b""]
    return Request(url.hostname, port, b"\r\n".join(lines))


def outside(address: str) -> bool:
    """Whether an IP address is neither this machine's own nor the link's."""
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    own = found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast
    return not own


def not_ours(_: Request, address: str) -> bool:
    return outside(address)


async def serve(listener: socket.socket, allowed: Allowed = not_ours) -> asyncio.AbstractServer:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve(reader, writer, allowed)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(one, sock=listener)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowed: Allowed
) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        request = parse(head)
        theirs, ours = await asyncio.wait_for(_dial(request, allowed), PATIENCE)
    except Refused as refused:
        writer.write(
            f"HTTP/1.1 {refused}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        return
    try:
        if request.opening:
            ours.write(request.opening)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
    finally:
        ours.close()


async def _dial(
    request: Request, allowed: Allowed
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("502 Bad Gateway") from error
    addresses = [str(address[0]) for *_, address in found if allowed(request, str(address[0]))]
    if not addresses:
        raise Refused("403 Forbidden")
    for address in addresses:
        try:
            return await asyncio.open_connection(address, request.port)
        except OSError:
            continue
    raise Refused("502 Bad Gateway")


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
