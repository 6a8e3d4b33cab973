"""Answers that could be read in two ways, or that an endpoint never finishes.

Each bad row becomes a 502 and nothing of it reaches the client; each good row comes through with
its bytes unchanged.
"""

from __future__ import annotations

import asyncio
import gzip

import pytest

from shared.endpoint import Serving
from tests.router.conftest import PREFIX, Router, read_answer
from tests.router.origin import Origin, Script, Seen, read_body, says

OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n"

BAD = {
    "cl-te": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two-cl": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two-cl-same": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "cl-list": OK + b"Content-Length: 3, 3\r\n\r\nabc",
    "cl-plus": OK + b"Content-Length: +3\r\n\r\nabc",
    "cl-minus": OK + b"Content-Length: -1\r\n\r\nabc",
    "cl-hex": OK + b"Content-Length: 0x3\r\n\r\nabc",
    "cl-huge": OK + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "te-unknown": OK + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "te-two": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te-old": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare-lf-header": OK + b"X: a\nContent-Length: 0\r\n\r\n",
    "bare-cr-header": OK + b"X: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    "cr-in-reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "obs-fold": OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "space-colon": OK + b"Content-Length : 2\r\n\r\nab",
    "no-colon": OK + b"X\r\n\r\n",
    "empty-name": OK + b": x\r\n\r\n",
    "nul": OK + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "ctl": OK + b"X: a\x01b\r\nContent-Length: 0\r\n\r\n",
    "name-ctl": OK + b"X\x01: a\r\nContent-Length: 0\r\n\r\n",
    "many-headers": OK + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + END,
    "long-header": OK + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
    "big-head": OK + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(100)) + END,
    "status-99": b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    "status-600": b"HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
    "status-1000": b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
    "status-word": b"HTTP/1.1 OK\r\n\r\n",
    "version-2": b"HTTP/2 200 OK\r\n\r\n",
    "version-09": b"hello\r\n",
    "garbage": b"\x00\xff\x00\xff\r\n\r\n",
    "101-unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nraw",
    "interim-flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + OK + b"Content-Length: 0\r\n\r\n",
    "head-cut": OK + b"Content-Le",
    "status-cut": b"HTTP/1.1 20",
}


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_is_502(router: Router, backend: Origin, name: str) -> None:
    backend.script = says(BAD[name])
    got = await router.ask(PREFIX)
    assert (got.status, got.problem) == (502, "endpoint-failed")
    assert b"X" not in got.head
    assert len(backend.seen) == 1


GOOD: dict[str, tuple[bytes, int, bytes]] = {
    "length": (OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
    "chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n2\r\nbc\r\n0\r\nT: x\r\n\r\n", 200, b"abc"),
    "to-the-end": (OK + b"\r\nabc", 200, b"abc"),
    "old": (b"HTTP/1.0 200 OK\r\n\r\nabc", 200, b"abc"),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", 200, b"a"),
    "reason-latin1": (b"HTTP/1.1 200 Tr\xe8s\r\nContent-Length: 1\r\n\r\na", 200, b"a"),
    "after-interim": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", 200, b"a"),
    "extra-bytes": (OK + b"Content-Length: 1\r\n\r\naEVIL", 200, b"a"),
    "two-answers": ((OK + b"Content-Length: 1\r\n\r\na") * 2, 200, b"a"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "204-body": (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL", 204, b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\nETag: x\r\n\r\n", 304, b""),
    "599": (b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n", 599, b""),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n", 302, b""),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", 200, b""),
    "empty-chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b""),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", GOOD)
async def test_a_good_answer_comes_through_and_the_connection_stays_in_step(
    router: Router, backend: Origin, name: str
) -> None:
    answer, status, body = GOOD[name]
    backend.script = says(answer)
    reader, writer = await router.connect()
    for _ in range(2):
        writer.write(f"GET {PREFIX} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        async with asyncio.timeout(5):
            got = await read_answer(reader)
        assert (got.status, got.body) == (status, body)
        assert got.values("content-length") == [] or got.values("transfer-encoding") == []
    assert len(backend.seen) == 2


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", GOOD)
async def test_the_answer_to_head_has_no_body(router: Router, backend: Origin, name: str) -> None:
    answer, status, _ = GOOD[name]
    backend.script = says(answer)
    reader, writer = await router.connect()
    for method in (b"HEAD", b"HEAD", b"GET"):
        writer.write(b"%s %s HTTP/1.1\r\nHost: h\r\n\r\n" % (method, PREFIX.encode()))
        async with asyncio.timeout(5):
            got = await read_answer(reader, head_only=method == b"HEAD")
        assert got.status == status


async def test_head_and_304_say_the_length_that_get_would_have(
    router: Router, backend: Origin
) -> None:
    backend.script = says(OK + b"Content-Length: 42\r\n\r\n")
    assert (await router.ask(PREFIX, method="HEAD")).value("content-length") == "42"


CUT: dict[str, bytes] = {
    "length": OK + b"Content-Length: 10\r\n\r\nabc",
    "chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    "between-chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad-chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n",
    "chunk-minus": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n-1\r\nx\r\n",
    "chunk-spill": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    "chunk-lf": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\na\n0\n\n",
    "no-last-crlf": OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
}


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
@pytest.mark.parametrize("name", CUT)
async def test_an_answer_cut_short_is_seen_to_be_cut_short(
    router: Router, backend: Origin, name: str
) -> None:
    backend.script = says(CUT[name])
    reader, writer = await router.connect()
    writer.write(f"GET {PREFIX} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.IncompleteReadError):
            await read_answer(reader)


async def test_encoded_bodies_and_odd_headers_come_through_byte_for_byte(
    router: Router, backend: Origin
) -> None:
    packed = gzip.compress(b"hello" * 100)
    backend.script = says(
        OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(packed),
        b"X-Latin: caf\xe9\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"
        b"Connection: X-Hop, close\r\nX-Hop: 1\r\nKeep-Alive: timeout=9\r\n\r\n" + packed,
    )
    got = await router.ask(PREFIX, method="POST", body=packed)
    assert got.body == packed
    assert backend.only.body == packed
    assert b"X-Latin: caf\xe9\r\n" in got.head
    assert got.values("set-cookie") == ["a=1", "b=2"]
    assert got.value("x-hop") is None
    assert got.value("keep-alive") is None


DIES = [
    ("GET", 2),
    ("HEAD", 2),
    ("OPTIONS", 2),
    ("POST", 1),
    ("PUT", 1),
    ("DELETE", 1),
    ("PATCH", 1),
]


@pytest.mark.parametrize(("method", "times"), DIES)
async def test_only_what_changes_nothing_is_asked_again_and_only_once(
    router: Router, backend: Origin, method: str, times: int
) -> None:
    backend.script = says()
    got = await router.ask(PREFIX, method=method)
    assert got.status == 502
    assert len(backend.seen) == times


async def test_a_request_with_a_body_is_never_asked_again(router: Router, backend: Origin) -> None:
    backend.script = says()
    assert (await router.ask(PREFIX, method="GET", body=b"x")).status == 502
    assert len(backend.seen) == 1


async def test_the_second_try_may_succeed(router: Router, backend: Origin) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if len(backend.seen) > 1:
            await says(OK + b"Content-Length: 2\r\n\r\nok")(seen, reader, writer)

    backend.script = script
    assert (await router.ask(PREFIX)).body == b"ok"


async def test_a_request_is_not_asked_again_once_an_answer_has_begun(
    router: Router, backend: Origin
) -> None:
    backend.script = says(b"H")
    assert (await router.ask(PREFIX)).status == 502
    assert len(backend.seen) == 1


@pytest.mark.parametrize("backend", ["tcp"], indirect=True)
async def test_retries_never_multiply_a_failure(router: Router, backend: Origin) -> None:
    backend.script = says()
    for _ in range(100):
        await router.ask(PREFIX)
    assert len(backend.seen) <= 120


def silent(*pieces: bytes) -> Script:
    """Says something, then nothing until the other side goes away."""

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        seen.body = await read_body(seen, reader)
        for piece in pieces:
            writer.write(piece)
        await reader.read()

    return script


async def test_an_endpoint_that_never_answers_is_504(router: Router, backend: Origin) -> None:
    backend.script = silent()
    router.route(addresses=(backend.address,), serving=Serving(timeout_seconds=0.2))
    got = await router.ask(PREFIX, method="POST", body=b"x")
    assert (got.status, got.problem) == (504, "endpoint-timeout")
    async with asyncio.timeout(1):
        await backend.dropped.wait()


async def test_an_endpoint_that_stops_in_the_middle_is_cut_off(
    router: Router, backend: Origin
) -> None:
    backend.script = silent(OK + b"Content-Length: 10\r\n\r\nabc")
    router.route(addresses=(backend.address,), serving=Serving(timeout_seconds=0.2))
    with pytest.raises(asyncio.IncompleteReadError):
        await router.ask(PREFIX)


async def test_an_endpoint_that_does_not_read_is_504(router: Router, backend: Origin) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await router_done.wait()

    router_done = asyncio.Event()
    backend.script = script
    router.route(addresses=(backend.address,), serving=Serving(timeout_seconds=0.3))
    got = await router.ask(PREFIX, method="POST", body=b"x" * 30_000_000)
    router_done.set()
    assert (got.status, got.problem) == (504, "endpoint-timeout")
