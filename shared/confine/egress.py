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


class Proxy(NamedTuple):
    """One of the machine's own, by which it reaches what is outside."""

    host: str
    port: int
    authorization: str = ""  # the value of that header


Through = Callable[[Request], Proxy | None]
"""By which proxy a request goes on, when it does not go by itself."""


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


def by_itself(_: Request) -> None:
    return None


async def serve(
    listener: socket.socket, allowed: Allowed = not_ours, through: Through = by_itself
) -> asyncio.AbstractServer:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve(reader, writer, allowed, through)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(one, sock=listener)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, allowed: Allowed, through: Through
) -> None:
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        request = parse(head)
        proxy = through(request)
        if proxy is None:
            dialling = _dial(request, allowed)
        else:
            dialling = _dial_through(proxy, request, allowed)
        theirs, ours = await asyncio.wait_for(dialling, PATIENCE)
    except Refused as refused:
        writer.write(
            f"HTTP/1.1 {refused}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        return
    try:
        if request.opening:
            ours.write(request.opening if proxy is None else absolute(request, proxy))
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))
    finally:
        ours.close()


async def _dial(
    request: Request, allowed: Allowed
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    addresses = [found for found in await _addresses(request) if allowed(request, found)]
    if not addresses:
        raise Refused("403 Forbidden")
    for address in addresses:
        try:
            return await asyncio.open_connection(address, request.port)
        except OSError:
            continue
    raise Refused("502 Bad Gateway")


async def _addresses(request: Request) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(request.host, request.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused("502 Bad Gateway") from error
    return [str(address[0]) for *_, address in found]


async def _dial_through(
    proxy: Proxy, request: Request, allowed: Allowed
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """What the proxy alone can resolve is its business; the rest is refused as ever."""
    try:
        addresses = await _addresses(request)
    except Refused:
        addresses = []
    if addresses and not any(allowed(request, address) for address in addresses):
        raise Refused("403 Forbidden")
    try:
        theirs, ours = await asyncio.open_connection(proxy.host, proxy.port)
    except OSError as error:
        raise Refused("502 Bad Gateway") from error
    if not request.opening:
        host = f"[{request.host}]" if ":" in request.host else request.host
        ours.write(
            _proxied(f"CONNECT {host}:{request.port} HTTP/1.1\r\n".encode(), proxy) + b"\r\n"
        )
        answer = await theirs.readuntil(b"\r\n\r\n")
        if answer.split(b" ", 2)[1:2] != [b"200"]:
            ours.close()
            raise Refused("502 Bad Gateway")
    return theirs, ours


def absolute(request: Request, proxy: Proxy) -> bytes:
    """A plain request's opening as a proxy wants it."""
    method, path, rest = request.opening.split(b" ", 2)
    version, fields = rest.split(b"\r\n", 1)
    host = f"[{request.host}]" if ":" in request.host else request.host
    target = f"http://{host}:{request.port}".encode() + path
    return _proxied(b" ".join((method, target, version)) + b"\r\n", proxy) + fields


def _proxied(first: bytes, proxy: Proxy) -> bytes:
    if not proxy.authorization:
        return first
    return first + f"Proxy-Authorization: {proxy.authorization}\r\n".encode()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        target.write(chunk)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
