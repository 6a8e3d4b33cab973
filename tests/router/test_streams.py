"""Bodies and answers pass as they come, and whoever goes away is noticed at once."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from services.router.body import Limits
from services.router.door import Options
from shared.endpoint import Serving
from tests.router.conftest import PREFIX, Router, read_answer, running
from tests.router.origin import Origin, Seen, ok, origin, read_body, says

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def begin(router: Router, *lines: str, method: str = "GET") -> Streams:
    reader, writer = await router.connect()
    head = "".join(f"{line}\r\n" for line in ("Host: h", *lines))
    writer.write(f"{method} {PREFIX} HTTP/1.1\r\n{head}\r\n".encode())
    return reader, writer


async def test_each_event_of_a_stream_is_passed_on_before_the_next_exists(
    router: Router, backend: Origin
) -> None:
    turn = asyncio.Event()

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for n in range(3):
            await turn.wait()
            turn.clear()
            writer.write(b"data: %d\n\n" % n)

    backend.script = script
    reader, _ = await begin(router)
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        for n in range(3):
            turn.set()
            assert await reader.readuntil(b"\n\n\r\n") == b"9\r\ndata: %d\n\n\r\n" % n
        assert await reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_body_is_passed_on_piece_by_piece_and_may_be_answered_meanwhile(
    router: Router, backend: Origin
) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (line := await reader.readline()) != b"0\r\n":
            piece = await reader.readexactly(int(line, 16) + 2)
            writer.write(line + piece.upper())
        writer.write(b"0\r\n\r\n")

    backend.script = script
    reader, writer = await begin(router, "Transfer-Encoding: chunked", method="POST")
    async with asyncio.timeout(5):
        await reader.readuntil(b"\r\n\r\n")
        for piece in (b"a", b"bc", b"def"):
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            assert await reader.readuntil(piece.upper() + b"\r\n")
        writer.write(b"0\r\n\r\n")
        assert await reader.readexactly(5) == b"0\r\n\r\n"


@pytest.mark.parametrize("moment", ["before the answer", "in the answer", "in the body"])
async def test_when_the_client_goes_away_the_endpoint_hears_of_it(
    router: Router, backend: Origin, moment: str
) -> None:
    reached = asyncio.Event()

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        reached.set()
        if moment == "in the answer":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await reader.read()

    backend.script = script
    lines = ["Content-Length: 9"] if moment == "in the body" else []
    reader, writer = await begin(router, *lines, method="POST")
    async with asyncio.timeout(5):
        await reached.wait()
        if moment == "in the answer":
            await reader.readuntil(b"x\r\n")
    writer.transport.abort()
    async with asyncio.timeout(1):
        await backend.dropped.wait()
    await emptied(router)


async def emptied(router: Router) -> None:
    """Until nothing is in hand and every place is free."""
    async with asyncio.timeout(2):
        while b"slipway_router_in_hand 0.0" not in router.telemetry.render():
            await asyncio.sleep(0.01)
    assert all(gate.idle for gate in router.door._gates.values())


async def test_large_bodies_pass_both_ways_unchanged(router: Router, backend: Origin) -> None:
    block = bytes(range(256)) * 16384  # 4 MiB
    backend.script = ok(block)
    got = await router.ask(PREFIX, method="PUT", body=block)
    assert hashlib.sha256(got.body).digest() == hashlib.sha256(block).digest()
    assert backend.only.body == block


async def test_a_client_that_reads_slowly_holds_the_endpoint_back(
    router: Router, backend: Origin
) -> None:
    sent = 0

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            sent += 100_000

    backend.script = script
    reader, writer = await begin(router)
    await reader.readuntil(b"\r\n\r\n")
    last = -1
    while last != sent:  # until the endpoint can write no more
        last = sent
        await asyncio.sleep(0.2)
    assert sent < 50_000_000
    writer.transport.abort()


async def test_a_client_that_waits_to_be_told_to_go_on_is_told(
    router: Router, backend: Origin
) -> None:
    reader, writer = await begin(router, "Expect: 100-continue", "Content-Length: 3", method="POST")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read_answer(reader)).status == 200
    assert backend.only.body == b"abc"
    assert backend.only.value("expect") is None


async def test_a_client_that_waits_to_be_told_to_go_on_is_not_told_for_nothing(
    router: Router,
) -> None:
    reader, _ = await begin(router, "Expect: 100-continue", "Content-Length: 3", method="POST")
    async with asyncio.timeout(5):
        assert (await read_answer(reader)).status == 404


async def test_an_answer_before_the_end_of_the_body_ends_the_connection(
    router: Router, backend: Origin
) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    backend.script = script
    reader, writer = await begin(router, "Content-Length: 100", method="POST")
    async with asyncio.timeout(5):
        got = await read_answer(reader)
        assert got.status == 413
        writer.write(b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        writer.write_eof()
        assert await reader.read() == b""
    assert len(backend.seen) == 1


async def test_a_body_cut_short_reaches_the_endpoint_cut_short(
    router: Router, backend: Origin
) -> None:
    whole = asyncio.Event()

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(seen, reader)
        whole.set()

    backend.script = script
    _, writer = await begin(router, "Transfer-Encoding: chunked", method="POST")
    writer.write(b"3\r\nabc\r\n")
    async with asyncio.timeout(2):
        while not backend.seen:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        await backend.dropped.wait()
    assert not whole.is_set()


async def test_a_body_that_is_too_large_is_refused_early_and_late() -> None:
    async with running(Options(limits=Limits(size=10), patience=0.0)) as router, origin() as found:
        router.route(addresses=(found.address,))
        got = await router.ask(PREFIX, "Content-Length: 11", method="POST")
        assert (got.status, found.seen) == (413, [])
        reader, writer = await begin(router, "Transfer-Encoding: chunked", method="POST")
        writer.write(b"6\r\nabcdef\r\n" * 2)
        async with asyncio.timeout(5):
            assert (await read_answer(reader)).status == 413
            await found.dropped.wait()
        got = await router.ask(PREFIX, method="POST", body=b"a" * 10)
        assert got.status == 200


async def test_a_body_that_does_not_come_or_comes_too_slowly_is_given_up() -> None:
    limits = Limits(stall=0.2, grace=0.3, rate=1000)
    async with running(Options(limits=limits, patience=0.0)) as router, origin() as found:
        router.route(addresses=(found.address,))
        reader, writer = await begin(router, "Content-Length: 9", method="POST")
        async with asyncio.timeout(5):
            assert (await read_answer(reader)).status == 408
        reader, writer = await begin(router, "Content-Length: 1000", method="POST")
        answer = asyncio.create_task(read_answer(reader))
        async with asyncio.timeout(5):
            while not answer.done():
                writer.write(b"x")
                await asyncio.sleep(0.02)
        assert answer.result().status == 408


async def test_a_server_between_two_of_its_lives_is_waited_for() -> None:
    async with running(Options(patience=5.0)) as router, origin() as found:
        router.route(addresses=(found.address,))
        assert found.server is not None
        host, port = found.server.sockets[0].getsockname()
        await found.shut()
        asking = asyncio.create_task(router.ask(PREFIX, method="POST", body=b"x"))
        await asyncio.sleep(0.1)
        found.server = await asyncio.start_server(found.serve, host, port)
        assert (await asking).status == 200


async def test_http_1_0_gets_what_it_can_read(router: Router, backend: Origin) -> None:
    backend.script = says(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    answer = await router.raw(f"GET {PREFIX} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"abc"
    assert b"chunked" not in head


async def test_a_silent_stream_ends_after_its_timeout_and_its_place_is_free(
    router: Router, backend: Origin
) -> None:
    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nx")
        await reader.read()

    backend.script = script
    router.route(addresses=(backend.address,), serving=Serving(timeout_seconds=0.2))
    reader, _ = await begin(router)
    async with asyncio.timeout(5):
        await reader.readuntil(b"x\r\n")
        assert await reader.read() == b""
    await emptied(router)
