"""Registries that are away, slow, broken or endless. Each case ends soon, with our error."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiohttp import web

from shared import image
from shared.blobs import Blob
from shared.errors import Permanent, PlatformError, Transient
from shared.registry import Reference, Registries
from tests.shared.registry.made import (
    QUICK,
    blob_of,
)
from tests.shared.registry.scripted import (
    BODY,
    CALLS,
    IMPATIENT,
    MANIFEST,
    Answer,
    Call,
    Scripted,
    always,
    dropped,
    failing,
    fetch,
    manifests,
    read,
    scripted,
    send,
    soon,
    stalled,
)


@pytest.mark.parametrize("call", CALLS)
async def test_a_registry_that_is_down_is_passing_trouble(hasty: Registries, call: Call) -> None:
    with pytest.raises(Transient, match="can't be reached"):
        await call(hasty, Reference("127.0.0.1:1", "team/app", "1"))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("how", [dropped, always(503), always(500), always(429)])
async def test_trouble_is_passed_on_after_a_few_attempts(
    hasty: Registries, call: Call, how: Answer
) -> None:
    async with scripted(how) as server:
        with pytest.raises(Transient):
            await call(hasty, server.reference)
        assert 2 <= len(server.asked) <= QUICK.attempts


async def refused(call: Call, registries: Registries, server: Scripted) -> None:
    with pytest.raises(PlatformError):
        await call(registries, server.reference)


async def test_a_registry_that_stands_still_holds_nobody() -> None:
    async with (
        soon(),
        scripted(stalled) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        answers = [call(registries, server.reference) for call in CALLS]
        for ended in await asyncio.gather(*answers, return_exceptions=True):
            assert isinstance(ended, Transient)


async def test_an_answer_without_end_is_cut_off() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            status=200, headers={"Content-Type": image.MANIFEST_TYPE, "Location": "/there"}
        )
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 16))

    async with (
        soon(),
        scripted(endless) as server,
        Registries.open(limits=IMPATIENT) as registries,
    ):
        await asyncio.gather(*(refused(call, registries, server) for call in CALLS))


@pytest.mark.parametrize("status", [200, 404])
async def test_an_answer_that_drips_is_given_up(status: int) -> None:
    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": image.INDEX_TYPE})
        await response.prepare(request)
        while True:
            await response.write(b"{")
            await asyncio.sleep(0.1)

    slow = msgspec.structs.replace(IMPATIENT, operation=2.0, slowest=1 << 20)
    async with (
        soon(),
        scripted(dripping) as server,
        Registries.open(limits=slow) as registries,
    ):
        await asyncio.gather(*(refused(call, registries, server) for call in CALLS))


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("how", [dropped, always(503), always(429, Retry_After="0")])
async def test_trouble_that_passes_is_not_seen(hasty: Registries, how: Answer, times: int) -> None:
    async with scripted(failing(times, how, manifests(BODY))) as server:
        assert (await hasty.resolve(server.reference)).manifest == MANIFEST
        assert len(server.asked) == times + 1


@pytest.mark.parametrize(
    "asked",
    ["3600", "99999999999999999999", "Fri, 31 Dec 2199 23:59:59 GMT", "-1", "soon", "0x10", "٣"],
)
async def test_a_registry_does_not_decide_how_long_we_wait(hasty: Registries, asked: str) -> None:
    async with soon(), scripted(failing(1, always(429, Retry_After=asked), manifests(BODY))) as it:
        assert (await hasty.resolve(it.reference)).manifest == MANIFEST


async def test_all_attempts_together_end_in_time() -> None:
    patient = msgspec.structs.replace(QUICK, attempts=1_000, longest_pause=60.0, operation=0.5)
    async with (
        soon(),
        scripted(always(429, Retry_After="30")) as server,
        Registries.open(limits=patient) as registries,
    ):
        with pytest.raises(Transient, match="429 TOOMANYREQUESTS"):
            await registries.resolve(server.reference)
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 418, 501])
async def test_a_refusal_is_final_at_once(hasty: Registries, status: int) -> None:
    async with scripted(always(status)) as server:
        with pytest.raises(Permanent):
            await hasty.resolve(server.reference)
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"\x00" * 100_000,
    ],
)
@pytest.mark.parametrize("call", [read, fetch, send])
async def test_what_is_not_http_ends_soon(hasty: Registries, call: Call, said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with soon(), await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(PlatformError):
            await call(hasty, Reference(f"127.0.0.1:{port}", "team/app", "1"))


async def test_a_waiting_caller_can_leave(hasty: Registries) -> None:
    async with scripted(stalled) as server:
        for call in CALLS:
            waiting = asyncio.ensure_future(call(hasty, server.reference))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting


async def test_a_slow_reader_is_not_taken_for_a_slow_registry() -> None:
    large = bytes(8 << 20)
    blob = Blob(digest=blob_of(large).digest, size=len(large))
    quick = msgspec.structs.replace(QUICK, silence=0.2, operation=0.5, slowest=1 << 30)

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=large)

    async with scripted(answer) as server, Registries.open(limits=quick) as registries:
        chunks = registries.stream(server.reference, blob)
        size = len(await anext(chunks))
        await asyncio.sleep(0.7)
        async for chunk in chunks:
            size += len(chunk)
        assert size == len(large)
        assert len(server.asked) == 1
