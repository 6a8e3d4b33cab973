"""Answers as they should be, and as they should not: one call each, ended alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from shared.unary import Code, Failed, Limits, Rejected, Trouble
from shared.unary.codes import Reset
from shared.unary.frames import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    WEIGHED,
    frame,
    reset,
    window_update,
)
from tests.shared.unary.calls import PATH, ask, channel, failing, soon
from tests.shared.unary.peer import (
    DONE,
    OK,
    Peer,
    Request,
    Script,
    continued,
    data,
    foe,
    framed,
    plain,
)

A = framed(b"answer")


Make = Callable[[Peer, int], bytes]


def saying(make: Make) -> Script:
    """Answers the first call with what `make` makes of the peer and the stream, later ones well."""

    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(make(peer, request.stream))
        while True:
            request = await peer.request()
            peer.send(peer.answer(request.stream))

    return script


async def test_a_call_says_what_the_protocol_asks_of_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        seen.append(await peer.request())
        peer.send(peer.answer(seen[0].stream))

    seen: list[Request] = []
    async with foe(script) as server, channel(server.address) as through:
        metadata = ((b"x-request-id", b"a b"), (b"key-bin", b"AAEC"))
        assert await through.call(PATH, b"question", soon(1.5), metadata) == b"answer"
        await server.done()
    headers = seen[0].headers
    timeout = headers.pop("grpc-timeout")
    assert timeout[-1] == "m"
    assert 0 < int(timeout[:-1]) <= 1500
    assert headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": PATH.decode(),
        ":authority": server.address.removeprefix("http://"),
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "slipway",
        "x-request-id": "a b",
        "key-bin": "AAEC",
    }
    assert seen[0].message == b"question"
    assert seen[0].stream == 1


ODD_BUT_GOOD: dict[str, Make] = {
    "in one piece": lambda p, s: p.answer(s),
    "byte by byte": lambda p, s: (
        p.head(s) + b"".join(data(s, bytes((byte,))) for byte in A) + p.tail(s)
    ),
    "with empty frames": lambda p, s: (
        p.head(s) + data(s, b"") * 50 + data(s, A) + data(s, b"") * 50 + p.tail(s)
    ),
    "padded": lambda p, s: (
        p.head(s) + data(s, b"\x09" + A + bytes(9), PADDED) + data(s, b"\x00", PADDED) + p.tail(s)
    ),
    "with padded and weighed headers": lambda p, s: (
        frame(
            HEADERS,
            END_HEADERS | PADDED | WEIGHED,
            s,
            b"\x03" + bytes(5) + p.encoder.encode(OK) + bytes(3),
        )
        + data(s, A)
        + p.tail(s)
    ),
    "with headers in many frames": lambda p, s: in_pieces(p, s) + data(s, A) + p.tail(s),
    "after a hint": lambda p, s: p.head(s, ((":status", "103"), ("link", "</x>"))) + p.answer(s),
    "with frames of the future": lambda p, s: (
        frame(200, 0xFF, s, b"x" * 99) + frame(0x2, 0, s, bytes(5)) + p.answer(s)
    ),
    "of another dialect": lambda p, s: (
        p.head(s, ((":status", "200"), ("content-type", "application/grpc+proto; charset=utf-8")))
        + data(s, A)
        + p.tail(s, (*DONE, ("grpc-message", ""), ("x-other", "y"), ("x-other", "z")))
    ),
    "with a status in its head that does not count": lambda p, s: (
        p.head(s, (*OK, ("grpc-status", "13"))) + data(s, A) + p.tail(s)
    ),
}


def in_pieces(peer: Peer, stream: int) -> bytes:
    block = peer.encoder.encode(OK)
    cuts = [0, 1, 2, 5, len(block)]
    parts = [block[start:end] for start, end in pairwise(cuts)]
    return (
        frame(HEADERS, 0, stream, b"")
        + b"".join(continued(stream, part, 0) for part in parts)
        + continued(stream, b"")
    )


@pytest.mark.parametrize("make", ODD_BUT_GOOD.values(), ids=ODD_BUT_GOOD)
async def test_an_answer_may_come(make: Make) -> None:
    async with foe(saying(make)) as server, channel(server.address) as through:
        assert await ask(through) == b"answer"
        assert await ask(through) == b"answer"
        assert through.inside == 0


async def test_an_answer_may_be_empty() -> None:
    async with foe(plain(b"")) as server, channel(server.address) as through:
        assert await ask(through, b"") == b""


def ended(pairs: tuple[tuple[str, str], ...]) -> Make:
    return lambda p, s: p.head(s) + data(s, A) + p.tail(s, pairs)


def begun(pairs: tuple[tuple[str, str], ...]) -> Make:
    return lambda p, s: p.head(s, pairs) + data(s, A) + p.tail(s)


BAD: dict[str, Make] = {
    "Its answer is compressed.": lambda p, s: p.head(s) + data(s, framed(b"x", compressed=True)),
    "It answered with more than one message.": lambda p, s: p.head(s) + data(s, A + A),
    "It answered with more than one message. (later)": lambda p, s: (
        p.head(s) + data(s, A) + data(s, b"\0")
    ),
    "Its answer is OK, and has no whole message.": lambda p, s: p.head(s) + p.tail(s),
    "Its answer is OK, and has no whole message. (trailers only)": lambda p, s: p.tail(
        s, (*OK, *DONE)
    ),
    "Its answer is OK, and has no whole message. (cut)": lambda p, s: (
        p.head(s) + data(s, A[:-1]) + p.tail(s)
    ),
    "Its answer is OK, and has no whole message. (no length)": lambda p, s: (
        p.head(s) + data(s, A[:4]) + p.tail(s)
    ),
    "Its answer ended without a status.": lambda p, s: p.head(s) + data(s, A, END_STREAM),
    "Its answer ended without a status. (trailers)": ended((("x", "y"),)),
    "Its answer has no head.": lambda p, s: data(s, A),
    "Its answer has no HTTP status.": begun((("content-type", "application/grpc"),)),
    "Its answer has no HTTP status. (hint only)": lambda p, s: p.tail(s, ((":status", "103"),)),
    "It answered with the HTTP status 404, not by gRPC.": lambda p, s: p.tail(
        s, ((":status", "404"), ("grpc-status", "5"))
    ),
    "Its answer is not of the content type application/grpc.": begun(
        ((":status", "200"), ("content-type", "text/html"))
    ),
    "Its answer is not of the content type application/grpc. (none)": begun(((":status", "200"),)),
    "Its answer is not of the content type application/grpc. (web)": begun(
        ((":status", "200"), ("content-type", "application/grpc-web"))
    ),
    "It sent the head of its answer twice.": lambda p, s: p.head(s) + p.head(s),
    "It sent the head of its answer twice. (status)": ended(((":status", "200"), *DONE)),
    "The status of its answer is not a number.": ended((("grpc-status", "ok"),)),
    "The status of its answer is not a number. (sign)": ended((("grpc-status", "-1"),)),
    "The status of its answer is not a number. (empty)": ended((("grpc-status", ""),)),
    "The status of its answer is not a number. (long)": ended((("grpc-status", "9" * 30),)),
    "One of its headers is not valid.": begun((*OK, ("Upper", "x"))),
    "One of its headers is not valid. (value)": begun((*OK, ("x", "a\r\nb"))),
    "One of its headers is not valid. (connection)": begun((*OK, ("connection", "close"))),
    "One of its headers is not valid. (empty)": begun((*OK, ("", "x"))),
    "One of its headers is not valid. (pseudo)": begun((*OK, (":path", "/"))),
    "One of its headers came twice.": ended((*DONE, *DONE)),
    "Its HTTP status is not valid.": begun(((":status", "2000"), OK[1])),
    "Its HTTP status is not valid. (twice)": begun((*OK, (":status", "200"))),
    "Its HTTP status is not valid. (late)": begun((OK[1], OK[0])),
    "It broke the call off: INTERNAL_ERROR.": lambda p, s: p.head(s) + reset(s, 2),
    "It broke the call off: NO_ERROR.": lambda p, s: p.head(s) + reset(s, 0),
    "It broke the call off: error 99.": lambda p, s: p.head(s) + reset(s, 99),
}


@pytest.mark.parametrize(("detail", "make"), BAD.items(), ids=BAD)
async def test_an_answer_is_refused_alone(detail: str, make: Make) -> None:
    async with foe(saying(make)) as server, channel(server.address) as through:
        failed = await failing(through)
        assert (failed.trouble, failed.safe) == (Trouble.BAD, False)
        assert failed.detail == detail.partition(" (")[0]
        assert await ask(through) == b"answer"


@pytest.mark.parametrize(
    ("code", "trouble", "safe"),
    [
        (Reset.REFUSED_STREAM, Trouble.REFUSED, True),
        (Reset.INTERNAL_ERROR, Trouble.DROPPED, False),
        (Reset.CANCEL, Trouble.DROPPED, False),
        (0xFFFFFFFF, Trouble.DROPPED, False),
    ],
)
async def test_a_call_broken_off_says_whether_something_was_done(
    code: int, trouble: Trouble, safe: bool
) -> None:
    async with foe(saying(lambda p, s: reset(s, code))) as server, channel(server.address) as c:
        failed = await failing(c)
        assert (failed.trouble, failed.safe) == (trouble, safe)
        assert await ask(c) == b"answer"


@pytest.mark.parametrize(
    ("pairs", "status", "message"),
    [
        ((("grpc-status", "12"),), Code.UNIMPLEMENTED, ""),
        ((("grpc-status", "3"), ("grpc-message", "%C3%A4%20%F0%9F%9A%A2 x")), 3, "ä 🚢 x"),
        ((("grpc-status", "13"), ("grpc-message", "100%, %zz %FF%00")), 13, "100%, %zz ��"),
        ((("grpc-status", "2"), ("grpc-message", "%41" * 5_000)), 2, "A" * 4096),
        ((("grpc-status", "99"), ("grpc-message", "x")), Code.UNKNOWN, "x"),
    ],
)
@pytest.mark.parametrize("bare", [False, True], ids=["after a head", "trailers only"])
async def test_a_status_other_than_ok_is_told_in_the_servers_words(
    pairs: tuple[tuple[str, str], ...], status: int, message: str, bare: bool
) -> None:
    def make(peer: Peer, stream: int) -> bytes:
        if bare:
            return peer.tail(stream, (*OK, *pairs))
        return peer.head(stream) + data(stream, A) + peer.tail(stream, pairs)

    async with foe(saying(make)) as server, channel(server.address) as through:
        with pytest.raises(Rejected) as caught:
            await ask(through)
        assert (caught.value.status, caught.value.message) == (status, message)
        assert await ask(through) == b"answer"


async def test_a_status_may_come_without_a_content_type_when_nothing_else_does() -> None:
    def make(peer: Peer, stream: int) -> bytes:
        return peer.tail(stream, ((":status", "200"), ("grpc-status", "5")))

    async with foe(saying(make)) as server, channel(server.address) as through:
        with pytest.raises(Rejected, match="NOT_FOUND"):
            await ask(through)


async def test_an_answer_before_the_question_was_heard_ends_the_call() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.headers()
        peer.send(peer.tail(stream, (*OK, ("grpc-status", "8"), ("grpc-message", "too long"))))
        while stream not in peer.resets:
            await peer.frame()
        assert peer.resets[stream] == Reset.NO_ERROR
        peer.send(window_update(0, 1 << 20))
        request = await peer.request()
        peer.send(peer.answer(request.stream))

    async with foe(script) as server, channel(server.address) as through:
        with pytest.raises(Rejected, match="too long"):
            await ask(through, bytes(1 << 20))
        assert await ask(through) == b"answer"


async def test_an_answer_beyond_the_limit_is_cancelled_at_its_length() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(peer.head(request.stream) + data(request.stream, b"\0" + (1001).to_bytes(4)))
        await peer.until(RST_STREAM)
        assert peer.resets == {request.stream: Reset.CANCEL}
        request = await peer.request()
        peer.send(peer.answer(request.stream, bytes(1000)))

    async with foe(script) as server, channel(server.address, Limits(message=1000)) as through:
        failed = await failing(through)
        assert failed.trouble is Trouble.BAD
        assert failed.detail == "Its answer has 1001 bytes; 1000 are taken at most."
        assert await ask(through) == bytes(1000)
        await server.done()


async def test_a_caller_who_gives_up_cancels_the_call() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        asked.set()
        await peer.until(RST_STREAM)
        assert peer.resets == {request.stream: Reset.CANCEL}
        peer.send(peer.answer(request.stream))
        request = await peer.request()
        peer.send(peer.answer(request.stream, b"second"))

    asked = asyncio.Event()
    async with foe(script) as server, channel(server.address) as through:
        first = asyncio.create_task(ask(through))
        await asked.wait()
        assert through.inside == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert through.inside == 0
        assert await ask(through) == b"second"
        await server.done()


@pytest.mark.parametrize("head", [False, True], ids=["silence", "half an answer"])
async def test_a_call_ends_at_its_deadline(head: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        if head:
            peer.send(peer.head(request.stream) + data(request.stream, A[:-1]))
        await peer.until(RST_STREAM)
        assert peer.resets == {request.stream: Reset.CANCEL}
        request = await peer.request()
        peer.send(peer.answer(request.stream))

    async with foe(script) as server, channel(server.address) as through:
        failed = await failing(through, seconds=0.1)
        assert (failed.trouble, failed.safe) == (Trouble.SILENT, False)
        assert await ask(through) == b"answer"
        await server.done()


async def test_a_server_that_gives_up_at_the_deadline_was_silent() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(reset(request.stream, Reset.CANCEL))

    async with foe(script) as server, channel(server.address) as through:
        failed = await failing(through, seconds=0.04)
        assert failed.trouble is Trouble.SILENT


async def test_what_can_not_be_sent_is_the_callers_mistake() -> None:
    async with foe(plain()) as server, channel(server.address) as through:
        for path in (b"", b"x", b"/a/b/c", b"/a b/c", b"/a/b\r\n"):
            with pytest.raises(ValueError, match="path"):
                await through.call(path, b"", soon())
        for name in (b"", b"A", b":path", b"grpc-timeout", b"te", b"a b", b"x\0"):
            with pytest.raises(ValueError, match="name"):
                await through.call(PATH, b"", soon(), ((name, b"x"),))
        for value in (b"\n", b"\x7f", "ä".encode()):
            with pytest.raises(ValueError, match="bytes"):
                await through.call(PATH, b"", soon(), ((b"x", value),))
        with pytest.raises(ValueError, match="too long"):
            await through.call(PATH, b"", soon(), ((b"x", b"y" * 10_000),))
        with pytest.raises(Failed) as caught:
            await through.call(PATH, b"", soon(0))
        assert (caught.value.trouble, caught.value.safe) == (Trouble.SILENT, True)
        assert through.inside == 0
        assert await ask(through) == b"answer"


async def test_a_deadline_may_be_as_far_away_as_one_likes() -> None:
    async with foe(plain()) as server, channel(server.address) as through:
        for deadline in (soon(1e9), float("inf")):
            assert await through.call(PATH, b"", deadline) == b"answer"
