"""WebSockets: real ones at both ends, and handshakes that are not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from shared.address import Address
from shared.endpoint import Serving
from tests.router.conftest import PREFIX, Router, read_answer
from tests.router.origin import Origin, Seen, says

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"

SEEN = web.AppKey("SEEN", list[web.Request])
ENDED = web.AppKey("ENDED", asyncio.Event)


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("chat",), autoping=False, compress=True)
    await socket.prepare(request)
    request.app[SEEN].append(request)
    try:
        async for message in socket:
            match message.type:
                case aiohttp.WSMsgType.TEXT if message.data == "bye":
                    await socket.close(code=4321, message=b"so long")
                case aiohttp.WSMsgType.TEXT:
                    await socket.send_str(message.data.upper())
                case aiohttp.WSMsgType.BINARY:
                    await socket.send_bytes(message.data)
                case aiohttp.WSMsgType.PING:
                    await socket.pong(message.data)
    finally:
        request.app[ENDED].set()
    return socket


@pytest.fixture
async def peer(router: Router) -> AsyncIterator[web.Application]:
    app = web.Application()
    app[SEEN], app[ENDED] = [], asyncio.Event()
    app.router.add_get("/{rest:.*}", talk)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    router.route(addresses=(Address(f"http://127.0.0.1:{runner.addresses[0][1]}"),))
    yield app
    await runner.cleanup()


async def test_messages_pings_sub_protocol_and_close_code_pass_both_ways(
    router: Router, peer: web.Application
) -> None:
    url = f"http://127.0.0.1:{router.port}{PREFIX}/socket"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=("chat",), compress=15, autoping=False) as socket,
    ):
        assert socket.protocol == "chat"
        assert not socket.compress
        await socket.send_str("hello")
        assert await socket.receive_str() == "HELLO"
        big = bytes(range(256)) * 8192
        await socket.send_bytes(big)
        assert await socket.receive_bytes() == big
        await socket.ping(b"p")
        pong = await socket.receive()
        assert (pong.type, pong.data) == (aiohttp.WSMsgType.PONG, b"p")
        await socket.send_str("bye")
        closed = await socket.receive()
        assert (closed.type, closed.data, closed.extra) == (
            aiohttp.WSMsgType.CLOSE,
            4321,
            "so long",
        )
    request = peer[SEEN][0]
    assert request.headers["X-VH-Prefix"] == PREFIX
    assert "Sec-WebSocket-Extensions" not in request.headers


async def test_when_the_client_goes_away_the_endpoint_hears_of_it(
    router: Router, peer: web.Application
) -> None:
    reader, writer = await router.connect()
    head = "".join(f"{line}\r\n" for line in ("Host: h", *HANDSHAKE))
    writer.write(f"GET {PREFIX} HTTP/1.1\r\n{head}\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.transport.abort()
    async with asyncio.timeout(1):
        await peer[ENDED].wait()


async def test_what_the_client_says_too_early_is_not_lost(router: Router, backend: Origin) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(SWITCH + ACCEPT + b"\r\nearly ")
        writer.write(await reader.readexactly(5))

    backend.script = script
    head = "".join(f"{line}\r\n" for line in ("Host: h", *HANDSHAKE))
    answer = await router.raw(f"GET {PREFIX} HTTP/1.1\r\n{head}\r\nbytes".encode())
    assert answer.partition(b"\r\n\r\n")[2] == b"early bytes"


async def test_an_endpoint_may_decline_and_the_connection_goes_on(
    router: Router, backend: Origin
) -> None:
    backend.script = says(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
    reader, writer = await router.connect()
    head = "".join(f"{line}\r\n" for line in ("Host: h", *HANDSHAKE))
    async with asyncio.timeout(5):
        for _ in range(2):
            writer.write(f"GET {PREFIX} HTTP/1.1\r\n{head}\r\n".encode())
            got = await read_answer(reader)
            assert (got.status, got.body) == (403, b"no")


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH + b"\r\n",
        SWITCH + b"Sec-WebSocket-Accept: d3Jvbmc=\r\n\r\n",
        SWITCH + ACCEPT + ACCEPT + b"\r\n",
        SWITCH + ACCEPT + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    ],
)
async def test_a_handshake_that_proves_nothing_is_502(
    router: Router, backend: Origin, answer: bytes
) -> None:
    backend.script = says(answer)
    head = "".join(f"{line}\r\n" for line in ("Host: h", *HANDSHAKE))
    reader, writer = await router.connect()
    writer.write(f"GET {PREFIX} HTTP/1.1\r\n{head}\r\n".encode())
    async with asyncio.timeout(5):
        assert (await read_answer(reader)).status == 502


async def test_a_socket_on_which_nothing_is_said_ends(router: Router, backend: Origin) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(SWITCH + ACCEPT + b"\r\n")
        await reader.read()

    backend.script = script
    router.route(addresses=(backend.address,), serving=Serving(timeout_seconds=0.2))
    head = "".join(f"{line}\r\n" for line in ("Host: h", *HANDSHAKE))
    answer = await router.raw(f"GET {PREFIX} HTTP/1.1\r\n{head}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 101")
    assert backend.dropped.is_set()
