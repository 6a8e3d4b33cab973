"""The way out: who is reached through the proxy, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.confine import egress
from shared.confine.egress import Proxy, Refused, Request, outside, parse


def test_a_tunnel_and_a_plain_request_are_understood() -> None:
    assert parse(b"CONNECT a.io:8443 HTTP/1.1\r\nHost: a.io\r\n\r\n") == Request("a.io", 8443, b"")
    plain = parse(
        b"GET http://a.io/x?y=1 HTTP/1.1\r\nHost: a.io\r\nProxy-Connection: keep-alive\r\n\r\n"
    )
    assert plain == Request(
        "a.io", 80, b"GET /x?y=1 HTTP/1.1\r\nHost: a.io\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET ftp://a.io/ HTTP/1.1\r\n\r\n",
        b"CONNECT a.io:http HTTP/1.1\r\n\r\n",
        b"CONNECT a.io:99999 HTTP/1.1\r\n\r\n",
        b"\xff\xfe x y\r\n\r\n",
    ],
)
def test_nonsense_is_refused(head: bytes) -> None:
    with pytest.raises(Refused, match="400"):
        parse(head)


@pytest.mark.parametrize(
    ("address", "is_outside"),
    [
        ("93.184.216.34", True),
        ("10.0.0.7", True),
        ("2606:2800::1", True),
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
    ],
)
def test_the_machines_own_addresses_are_not_outside(address: str, is_outside: bool) -> None:
    assert outside(address) is is_outside


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read(1000))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def asked(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    for part in parts:
        writer.write(part)
        got += await reader.read(1000)
    got += await reader.read()
    writer.close()
    return got


async def test_what_is_allowed_is_reached(echo: int) -> None:
    listener = egress.door(taken=0)
    async with await egress.serve(listener, allowed=lambda *_: True):
        port = listener.getsockname()[1]
        tunnel = await asked(port, f"CONNECT localhost:{echo} HTTP/1.1\r\n\r\n".encode(), b"hello")
        assert tunnel.startswith(b"HTTP/1.1 200 ")
        assert tunnel.endswith(b"\r\n\r\ngot hello")
        plain = await asked(port, f"GET http://127.0.0.1:{echo}/p HTTP/1.1\r\n\r\n".encode())
        assert plain.startswith(b"got GET /p HTTP/1.1\r\n")


async def test_the_machines_loopback_is_not(echo: int) -> None:
    listener = egress.door(taken=0)
    async with await egress.serve(listener):
        port = listener.getsockname()[1]
        answer = await asked(port, f"CONNECT localhost:{echo} HTTP/1.1\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_proxy_of_the_machines_own_is_gone_through(echo: int) -> None:
    heads: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        if head.startswith(b"CONNECT nowhere"):
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        elif head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            writer.write(await reader.read(1000))
        else:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        own = Proxy("127.0.0.1", server.sockets[0].getsockname()[1], "Basic eA==")
        listener = egress.door(taken=0)
        async with await egress.serve(listener, through=lambda _: own):
            port = listener.getsockname()[1]
            tunnel = await asked(port, b"CONNECT a.invalid:443 HTTP/1.1\r\n\r\n", b"hello")
            assert tunnel.endswith(b"\r\n\r\nhello")
            plain = await asked(
                port, b"GET http://a.invalid/p?q HTTP/1.1\r\nHost: a.invalid\r\n\r\n"
            )
            assert plain.startswith(b"HTTP/1.1 204 ")
            refused = await asked(port, b"CONNECT nowhere.invalid:443 HTTP/1.1\r\n\r\n")
            assert refused.startswith(b"HTTP/1.1 502 ")
            ours = await asked(port, f"CONNECT 127.0.0.1:{echo} HTTP/1.1\r\n\r\n".encode())
            assert ours.startswith(b"HTTP/1.1 403 ")
    assert [head.split(b"\r\n")[:2] for head in heads] == [
        [b"CONNECT a.invalid:443 HTTP/1.1", b"Proxy-Authorization: Basic eA=="],
        [b"GET http://a.invalid:80/p?q HTTP/1.1", b"Proxy-Authorization: Basic eA=="],
        [b"CONNECT nowhere.invalid:443 HTTP/1.1", b"Proxy-Authorization: Basic eA=="],
    ]
