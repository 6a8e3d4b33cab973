"""Requests that could be read in two ways: refused, or forwarded in one normal form.

Each row is sent with a marker request behind it on the same connection. Whatever the router makes
of a row, the endpoint must have seen exactly as many requests as were answered by it, and never
the one that was hidden in another.
"""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.router.conftest import PREFIX, Router, read_answer
from tests.router.origin import Origin, Seen, read_body

P = PREFIX.encode()
HOST = b"Host: h\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def get(
    *lines: bytes, target: bytes = P, version: bytes = b"HTTP/1.1", host: bytes = HOST
) -> bytes:
    return b"GET %s %s\r\n%s%s\r\n" % (
        target,
        version,
        host,
        b"".join(b"%s\r\n" % o for o in lines),
    )


def post(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    head = b"".join(b"%s\r\n" % line for line in lines)
    return b"POST %s %s\r\n%s%s\r\n%s" % (P, version, HOST, head, body)


CHUNK = b"1\r\na\r\n0\r\n\r\n"
CL, TE = b"Content-Length: ", b"Transfer-Encoding: chunked"

REFUSED = {
    # R01 the length said in two ways
    "cl-te": post(CL + b"4", TE, body=CHUNK + SMUGGLED),
    "te-cl": post(TE, CL + b"4", body=CHUNK + SMUGGLED),
    "cl0-te": post(CL + b"0", TE, body=CHUNK),
    "two-cl-same": post(CL + b"1", CL + b"1", body=b"a"),
    "two-cl-differ": post(CL + b"1", CL + b"40", body=b"a" + SMUGGLED),
    "two-te": post(TE, TE, body=CHUNK),
    "two-te-identity": post(TE, b"Transfer-Encoding: identity", body=CHUNK),
    "te-comma": post(b"Transfer-Encoding: ,chunked", body=CHUNK),
    "te-x": post(b"Transfer-Encoding: xchunked", body=CHUNK),
    "te-gzip": post(b"Transfer-Encoding: gzip, chunked", body=CHUNK),
    "te-identity": post(b"Transfer-Encoding: identity", body=b""),
    "te-empty": post(b"Transfer-Encoding:", body=b""),
    "te-vt": post(b"Transfer-Encoding: \x0bchunked", body=CHUNK),
    "te-ff": post(b"Transfer-Encoding: \x0cchunked", body=CHUNK),
    "te-nul": post(b"Transfer-Encoding: chunked\x00", body=CHUNK),
    "te-nbsp": post(b"Transfer-Encoding: \xa0chunked", body=CHUNK),
    "te-quoted": post(b'Transfer-Encoding: "chunked"', body=CHUNK),
    "te-folded": post(b"Transfer-Encoding:\r\n chunked", body=CHUNK),
    "te-space-colon": post(b"Transfer-Encoding : chunked", body=CHUNK),
    "te-http10": post(TE, body=CHUNK, version=b"HTTP/1.0"),
    # R02 lengths that are no plain number
    **{
        f"cl-{value!r}": post(CL + value, body=b"a" * 10)
        for value in (b"+1_0", b"+1", b"0x10", b"010", b"-1", b"1 2", b"1,1", b"", b"1.0", b"1e1",
                      b"18446744073709551616", b"99999999999999999999", b"\xb2", b"1;")
    },
    # R03 chunks (those whose head says chunked and whose body then lies)
    "chunk-0x": post(TE, body=b"0x1\r\na\r\n0\r\n\r\n"),
    "chunk-plus": post(TE, body=b"+1\r\na\r\n0\r\n\r\n"),
    "chunk-under": post(TE, body=b"1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n"),
    "chunk-empty": post(TE, body=b"\r\na\r\n0\r\n\r\n"),
    "chunk-17": post(TE, body=b"10000000000000001\r\na\r\n0\r\n\r\n"),
    "chunk-lf": post(TE, body=b"1\na\n0\n\n"),
    "chunk-cr": post(TE, body=b"1\ra\r0\r\r"),
    "chunk-spill": post(TE, body=b"1\r\nabc\r\n0\r\n\r\n"),
    "chunk-minus": post(TE, body=b"-1\r\na\r\n0\r\n\r\n"),
    "te-ows": post(b"Transfer-Encoding:\t chunked \t", body=CHUNK),
    # R05 trailers that would be headers
    "chunk-trailer-host": post(TE, body=b"1\r\na\r\n0\r\nHost: evil\r\n\r\n"),
    "chunk-trailer-cl": post(TE, body=b"1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "chunk-trailer-te": post(TE, body=b"1\r\na\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    # R04 lines
    "lf-lines": b"GET %s HTTP/1.1\nHost: h\n\n" % P,
    "bare-cr": get(b"X: a\rY: b"),
    "obs-fold": get(b"X: a\r\n b"),
    "space-colon": get(b"X : a"),
    "no-colon": get(b"X"),
    "empty-name": get(b": a"),
    "name-non-ascii": get(b"X\xe9: a"),
    "name-space": get(b"X Y: a"),
    "value-nul": get(b"X: a\x00b"),
    "value-ctl": get(b"X: a\x01b"),
    "value-del": get(b"X: a\x7fb"),
    "leading-space-header": b"GET %s HTTP/1.1\r\n Host: h\r\n\r\n" % P,
    # R06 whose request is it?
    "absolute-other": get(target=b"http://evil" + P),
    "absolute-userinfo": get(target=b"http://a@h" + P),
    "absolute-no-host": get(target=b"http://" + P),
    "authority": get(target=b"h:80"),
    "asterisk": get(target=b"*"),
    "host-list": get(host=b"Host: a, b\r\n"),
    "host-two": get(host=HOST + HOST),
    "host-two-differ": get(host=HOST + b"Host: evil\r\n"),
    "host-empty": get(host=b"Host:\r\n"),
    "host-none": get(host=b""),
    "host-path": get(host=b"Host: h/x\r\n"),
    "host-userinfo": get(host=b"Host: a@h\r\n"),
    "host-space": get(host=b"Host: h h\r\n"),
    "host-port": get(host=b"Host: h:99999999\r\n"),
    "connect": b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n",
    "trace": b"TRACE %s HTTP/1.1\r\nHost: h\r\n\r\n" % P,
    # R10 other protocols
    "h2c": get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
    "h2c-alone": get(b"Connection: Upgrade", b"Upgrade: h2c"),
    "h2c-and-ws": get(b"Connection: Upgrade", b"Upgrade: websocket, h2c", b"Sec-WebSocket-Version: 13"),
    "ws-no-key": get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    "ws-version": get(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 8",
                      b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "ws-post": post(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    # R13 expectations
    "expect-x": post(b"Expect: x", CL + b"0"),
    "expect-two": post(b"Expect: 100-continue", b"Expect: 100-continue", CL + b"0"),
    # R15 targets
    "target-fragment": get(target=P + b"#x"),
    "target-space": get(target=P + b"/a b"),
    "target-nul": get(target=P + b"/\x00"),
    "target-backslash": get(target=b"\\ann"),
    "target-utf8": get(target=P + b"/\xc3\xa9"),
    "target-overlong": get(target=P + b"/\xc0\xae"),
    "target-relative": get(target=b"ann/shop"),
    "target-dots": get(target=b"/ann/../ann/shop/mnist/20261121.0/predict"),
    "target-encoded": get(target=b"/ann%2fshop/mnist/20261121.0/predict/x"),
    "target-double": get(target=b"/" + P),
    # R18 noise
    "garbage": b"\x00\x01\x02\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
    "version-09": b"GET %s\r\n\r\n" % P,
    "version-2": get(version=b"HTTP/2.0"),
    "version-12": get(version=b"HTTP/1.2"),
    "version-x": get(version=b"HTTP/1.1x"),
    "method-long": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: h\r\n\r\n",
    "method-odd": b"G\xe9T %s HTTP/1.1\r\nHost: h\r\n\r\n" % P,
    "headers-many": get(*(b"X-%d: a" % n for n in range(300))),
    "header-long": get(b"X: " + b"a" * 20_000),
    "target-long": get(target=P + b"/" + b"a" * 20_000),
}  # fmt: skip


@pytest.fixture
async def echo(backend: Origin) -> Origin:
    """Answers with how many bytes of body it read, and keeps what came behind the request."""

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        seen.body = await read_body(seen, reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        backend.stray.append(await reader.read())

    backend.script = script
    return backend


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_and_the_connection_closed(
    router: Router, echo: Origin, name: str
) -> None:
    answers = await router.raw(REFUSED[name] + SMUGGLED)
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answers)
    assert len(statuses) == 1, answers
    assert statuses[0] in (b"400", b"405", b"417", b"505"), answers
    assert b"application/problem+json" in answers
    body = answers.partition(b"\r\n\r\n")[2]
    assert b"evil" not in body
    assert b"smuggled" not in body
    if echo.seen:  # its head was good and its body then lied: the endpoint saw it cut short
        assert name.startswith("chunk-")
        assert len(echo.seen) == 1
        assert not any(echo.stray)


FORWARDED = {
    "plain": (get(), b""),
    "absolute-same": (get(target=b"http://h" + P), b""),
    "absolute-case": (get(target=b"HTTP://H" + P), b""),
    "te-case": (post(b"Transfer-Encoding: CHUNKED", body=CHUNK), b"a"),
    "chunk-extension": (post(TE, body=b"1;x=y\r\na\r\n0\r\n\r\n"), b"a"),
    "chunk-zeros": (post(TE, body=b"0000001\r\na\r\n000\r\n\r\n"), b"a"),
    "trailer": (post(TE, b"Trailer: X-T", body=b"1\r\na\r\n0\r\nX-T: dropped\r\n\r\n"), b"a"),
    "get-body": (get(CL + b"3")[:-2] + b"\r\nabc", b"abc"),
    "cl-zero": (post(CL + b"0"), b""),
    "cl-under": (post(CL + b"0", b"Content_Length: 38"), b""),
    "te-under": (post(CL + b"0", b"Transfer_Encoding: chunked"), b""),
    "connection-cl": (post(CL + b"1", b"Connection: Content-Length, Host", body=b"a"), b"a"),
    "connection-te": (post(TE, b"Connection: Transfer-Encoding", body=CHUNK), b"a"),
    "latin1-value": (get(b"X: caf\xe9"), b""),
    "upgrade-other": (get(b"Connection: Upgrade", b"Upgrade: IRC/6.9"), b""),
    "upgrade-unasked": (get(b"Upgrade: websocket"), b""),
    "crlf-first": (b"\r\n" + get(), b""),
}


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", FORWARDED)
async def test_it_is_forwarded_in_one_normal_form(router: Router, echo: Origin, name: str) -> None:
    request, body = FORWARDED[name]
    answers = await router.raw(request + get(b"Connection: close", target=b"/marker"))
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", answers)
    assert statuses[0] == b"200", answers
    assert statuses[1:] in ([b"404"], []), answers  # the marker, which the router answers itself
    seen = echo.only
    assert seen.body == body
    assert not any(echo.stray)
    assert len(seen.values("host")) == 1
    assert seen.value("host") == "h"
    assert (seen.value("content-length") is None) or (seen.value("transfer-encoding") is None)
    assert b"_" not in seen.head.replace(P, b"")
    expected = re.search(rb" (?:[Hh][Tt]{2}[Pp]://[Hh])?(/[^ ]*) ", request)
    assert expected is not None
    assert seen.line.split()[1] == expected[1]
    if name == "latin1-value":
        assert b"X: caf\xe9\r\n" in seen.head


async def test_hundreds_of_pipelined_requests_are_answered_in_order(
    router: Router, echo: Origin
) -> None:
    reader, writer = await router.connect()
    count = 200
    for n in range(count):
        writer.write(post(CL + b"3", b"X-N: %d" % n, body=b"%03d" % n))
    writer.write(get(b"Connection: close"))
    async with asyncio.timeout(30):
        answers = await reader.read()
    assert answers.count(b"HTTP/1.1 200 OK") == count + 1
    assert [one.body for one in echo.seen] == [b"%03d" % n for n in range(count)] + [b""]


async def test_nothing_is_done_after_close(router: Router, echo: Origin) -> None:
    reader, writer = await router.connect()
    writer.write(get(b"Connection: close"))
    got = await read_answer(reader)
    writer.write(get())
    assert got.status == 200
    assert got.value("connection") == "close"
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert len(echo.seen) == 1


async def test_a_bad_request_after_a_good_one_is_refused_after_its_answer(
    router: Router, echo: Origin
) -> None:
    reader, writer = await router.connect()
    writer.write(get())
    assert (await read_answer(reader)).status == 200
    writer.write(get(b"X : y") + get())
    assert (await read_answer(reader)).status == 400
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    assert len(echo.seen) == 1


async def test_a_good_request_that_comes_together_with_a_bad_one_is_not_done_at_all(
    router: Router, echo: Origin
) -> None:
    answers = await router.raw(get() + get(b"X : y") + get())
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"400"]
    assert echo.seen == []


async def test_what_only_the_router_may_say_cannot_be_said_by_a_client(
    router: Router, backend: Origin
) -> None:
    await router.ask(
        PREFIX,
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-User: root",
        "Forwarded: for=6.6.6.6",
        "X-Real-IP: 6.6.6.6",
        "X-VH-Prefix: /evil",
        "X_VH_Prefix: /evil",
        "X_Forwarded_For: 6.6.6.6",
        "Proxy: evil",
        "Connection: X-VH-Prefix, X-Forwarded-For, X-Mine",
        "X-Mine: gone",
        "Keep-Alive: timeout=5",
        "TE: trailers",
        "Trailer: X-T",
        "Proxy-Authorization: Basic x",
        "Proxy-Connection: keep-alive",
        "X-Kept: yes",
        "Authorization: Bearer t",
        "Cookie: a=b",
    )
    seen = backend.only
    assert b"6.6.6.6" not in seen.head
    assert b"evil" not in seen.head
    assert seen.value("x-vh-prefix") == PREFIX
    assert seen.value("x-forwarded-for") == seen.value("x-real-ip") == "127.0.0.1"
    assert seen.value("forwarded") == 'for=127.0.0.1;host="router.test";proto=http'
    assert seen.value("x-forwarded-host") == "router.test"
    for gone in (
        "x-mine",
        "keep-alive",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
    ):
        assert seen.value(gone) is None
    assert seen.value("connection") == "close"
    assert (seen.value("x-kept"), seen.value("cookie")) == ("yes", "a=b")
    assert seen.value("authorization") == "Bearer t"
