"""What a server may do to the connection, and what becomes of the calls on it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from shared.address import Address
from shared.dial import dial
from shared.unary import Channel, Failed, Limits, Trouble
from shared.unary.codes import Reset
from shared.unary.frames import (
    ACK,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WEIGHED,
    WINDOW_UPDATE,
    frame,
    reset,
    settings,
    window_update,
)
from tests.shared.unary.calls import ask, channel, failing
from tests.shared.unary.peer import Peer, Script, continued, data, foe, framed, plain

Make = Callable[[Peer, int], bytes]


def goaway(last: int, code: int = 0, words: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last, code) + words)


def after_a_request(make: Make, code: Reset) -> Script:
    """Says what `make` makes, and is told so."""

    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(make(peer, request.stream))
        await peer.to_the_end()
        assert peer.goaway == code

    return script


P, F, S = Reset.PROTOCOL_ERROR, Reset.FRAME_SIZE_ERROR, Reset.ENHANCE_YOUR_CALM
W, C = Reset.FLOW_CONTROL_ERROR, Reset.COMPRESSION_ERROR
WRONG: dict[str, tuple[Make, Reset]] = {
    "a frame that is too long": (lambda p, s: b"\x04\x00\x01\x00\x00\x00\x00\x00\x01", F),
    "DATA of the connection": (lambda p, s: data(0, b"x"), P),
    "DATA of a call to come": (lambda p, s: data(s + 2, b"x"), P),
    "DATA of a call of its own": (lambda p, s: data(2, b"x"), P),
    "DATA that is all padding": (lambda p, s: data(s, b"\x05" + bytes(4), PADDED), P),
    "DATA that has no padding": (lambda p, s: data(s, b"", PADDED), P),
    "DATA after the end": (lambda p, s: p.answer(s) + data(s, b"x"), Reset.STREAM_CLOSED),
    "HEADERS of the connection": (lambda p, s: p.head(0), P),
    "HEADERS of a call to come": (lambda p, s: p.head(s + 2), P),
    "HEADERS that are all padding": (
        lambda p, s: frame(HEADERS, END_HEADERS | PADDED, s, b"\x01"),
        P,
    ),
    "HEADERS without their priority": (
        lambda p, s: frame(HEADERS, END_HEADERS | WEIGHED, s, bytes(4)),
        F,
    ),
    "HEADERS that break off": (lambda p, s: frame(HEADERS, 0, s) + data(s, b"x"), P),
    "HEADERS that another's interrupt": (lambda p, s: frame(HEADERS, 0, s) * 2, P),
    "CONTINUATION of another": (lambda p, s: frame(HEADERS, 0, s) + continued(s + 2, b""), P),
    "CONTINUATION of nothing": (lambda p, s: continued(s, b""), P),
    "CONTINUATION without end": (
        lambda p, s: frame(HEADERS, 0, s) + continued(s, b"", 0) * 20,
        S,
    ),
    "a header block without end": (
        lambda p, s: frame(HEADERS, 0, s, bytes(1 << 14)) + continued(s, bytes(1 << 14), 0) * 4,
        S,
    ),
    "headers in a frame that is too long": (
        lambda p, s: frame(HEADERS, END_HEADERS, s, bytes((1 << 16) + 1)),
        S,
    ),
    "headers from a table that is not there": (
        lambda p, s: frame(HEADERS, END_HEADERS, s, b"\xff\x01"),
        C,
    ),
    "a header list that is a bomb": (
        lambda p, s: frame(
            HEADERS, END_HEADERS, s, b"\x40\x01x\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 5000
        ),
        C,
    ),
    "a table that is too large": (lambda p, s: frame(HEADERS, END_HEADERS, s, b"\x3f\xe2\x1f"), C),
    "RST_STREAM of the connection": (lambda p, s: reset(0, 8), P),
    "RST_STREAM of a call to come": (lambda p, s: reset(s + 2, 8), P),
    "RST_STREAM that is cut off": (lambda p, s: frame(RST_STREAM, 0, s, bytes(3)), F),
    "SETTINGS of a call": (lambda p, s: frame(SETTINGS, 0, s), P),
    "SETTINGS that are cut off": (lambda p, s: frame(SETTINGS, 0, 0, bytes(5)), F),
    "SETTINGS that confirm something": (lambda p, s: frame(SETTINGS, ACK, 0, bytes(6)), F),
    "a setting that allows pushes": (lambda p, s: settings({2: 1}), P),
    "a setting of tiny frames": (lambda p, s: settings({5: 16383}), P),
    "a setting of huge frames": (lambda p, s: settings({5: 1 << 24}), P),
    "a setting of huge windows": (lambda p, s: settings({4: 1 << 31}), W),
    "PUSH_PROMISE": (lambda p, s: frame(PUSH_PROMISE, END_HEADERS, s, bytes(8)), P),
    "PING of a call": (lambda p, s: frame(PING, 0, s, bytes(8)), P),
    "PING that is cut off": (lambda p, s: frame(PING, 0, 0, bytes(7)), F),
    "GOAWAY of a call": (lambda p, s: frame(GOAWAY, 0, s, bytes(8)), P),
    "GOAWAY that is cut off": (lambda p, s: frame(GOAWAY, 0, 0, bytes(7)), F),
    "WINDOW_UPDATE by nothing": (lambda p, s: window_update(0, 0), P),
    "WINDOW_UPDATE by too much": (lambda p, s: window_update(0, (1 << 31) - 1), W),
    "WINDOW_UPDATE of a call to come": (lambda p, s: window_update(s + 2, 1), P),
    "WINDOW_UPDATE that is cut off": (lambda p, s: frame(WINDOW_UPDATE, 0, 0, bytes(3)), F),
    "a flood of PING": (lambda p, s: frame(PING, 0, 0, bytes(8)) * 30_000, S),
    "a flood of answers to PING": (lambda p, s: frame(PING, ACK, 0, bytes(8)) * 30_000, S),
    "a flood of SETTINGS": (lambda p, s: settings({4: 1}) * 3_000, S),
    "a flood of empty SETTINGS": (lambda p, s: settings({}) * 3_000, S),
    "a flood of confirmations": (lambda p, s: frame(SETTINGS, ACK, 0) * 3_000, S),
    "a flood of GOAWAY": (lambda p, s: goaway(99) * 3_000, S),
    "a flood of WINDOW_UPDATE": (lambda p, s: window_update(0, 1) * 30_000, S),
    "a flood of PRIORITY": (lambda p, s: frame(2, 0, s, bytes(5)) * 30_000, S),
    "a flood of frames of the future": (lambda p, s: frame(77, 0, 0) * 30_000, S),
    "a flood of empty DATA": (lambda p, s: p.head(s) + data(s, b"") * 30_000, S),
    "a flood of padding": (
        lambda p, s: p.head(s) + data(s, b"\xff" + bytes(255), PADDED) * 30_000,
        S,
    ),
    "a flood of tiny DATA": (
        lambda p, s: p.head(s) + data(s, framed(bytes(30_000))[:5]) + data(s, b"x") * 30_000,
        S,
    ),
    "a flood of hints": (lambda p, s: p.head(s, ((":status", "103"),)) * 30_000, S),
    "a flood of RST_STREAM": (lambda p, s: reset(s, 8) * 30_000, S),
    "a flood of headers that are hard to read": (
        lambda p, s: p.answer(s) + p.tail(s, (("x", "~" * 9_000),)) * 50,
        S,
    ),
    "a flood of trailers": (lambda p, s: p.answer(s) + p.tail(s) * 30_000, S),
}


@pytest.mark.parametrize(("make", "code"), WRONG.values(), ids=WRONG)
async def test_what_makes_the_rest_doubtful_ends_the_connection(make: Make, code: Reset) -> None:
    async with (
        foe(after_a_request(make, code)) as server,
        channel(server.address) as through,
    ):
        with suppress(Failed):  # some answer first, and do wrong then
            await ask(through)
        await server.done()
        assert not through.usable()
        with pytest.raises(Failed) as caught:
            await ask(through)
        assert (caught.value.trouble, caught.value.safe) == (Trouble.REFUSED, True)


GREETINGS: dict[str, bytes] = {
    "HTTP/1.1": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"x" * 100,
    "a confirmation": frame(SETTINGS, ACK, 0),
    "another frame": frame(PING, 0, 0, bytes(8)),
    "settings that are not valid": settings({4: 1 << 31}),
    "noise": bytes(range(255, -1, -1)),
}


@pytest.mark.parametrize("greeting", GREETINGS.values(), ids=GREETINGS)
async def test_who_does_not_speak_http2_is_found_out_before_a_call(greeting: bytes) -> None:
    async def script(peer: Peer) -> None:
        peer.send(greeting)

    async with foe(script) as server:
        with pytest.raises(Failed) as caught:
            await Channel.open(server.address, 30)
    assert (caught.value.trouble, caught.value.safe) == (Trouble.BAD, True)


async def test_who_says_nothing_is_given_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.to_the_end()
        assert peer.goaway == Reset.SETTINGS_TIMEOUT

    async with foe(script) as server:
        with pytest.raises(Failed) as caught:
            await Channel.open(server.address, 0.1)
    assert (caught.value.trouble, caught.value.safe) == (Trouble.SILENT, True)


async def test_who_closes_at_once_is_found_out_before_a_call() -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    async with foe(script) as server:
        with pytest.raises(Failed) as caught:
            await Channel.open(server.address, 30)
    assert caught.value.safe


async def test_nobody_at_all_is_a_refusal() -> None:
    async with foe(plain()) as server:
        pass
    for address in (server.address, Address("unix:/nowhere/at.all")):
        with pytest.raises(Failed) as caught:
            await Channel.open(address, 30)
        assert (caught.value.trouble, caught.value.safe) == (Trouble.REFUSED, True)


async def test_a_doorman_without_a_key_is_never_asked() -> None:
    with pytest.raises(Failed) as caught:
        await dial(asyncio.Protocol, Address("doorman://127.0.0.1:1"), 30)
    assert (caught.value.trouble, caught.value.safe) == (Trouble.AWAY, True)


@pytest.mark.parametrize(
    ("said", "trouble"), [(False, Trouble.DROPPED), (True, Trouble.BAD)], ids=["nothing", "half"]
)
async def test_a_connection_that_is_lost_fails_its_calls(said: bool, trouble: Trouble) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            request = await peer.request()
            if said:
                peer.send(peer.head(request.stream))
        peer.send(frame(PING, 0, 0, bytes(8)))
        await peer.until(PING)  # so the client has seen all that came before
        peer.close()

    async with foe(script) as server, channel(server.address) as through:
        for failed in await asyncio.gather(*(failing(through) for _ in range(3))):
            assert (failed.trouble, failed.safe) == (trouble, False)
        assert not through.usable()
        assert through.inside == 0


async def test_goaway_says_which_calls_are_safe_to_ask_elsewhere() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        streams = [(await peer.request()).stream for _ in range(4)]
        peer.send(goaway((1 << 31) - 1), goaway(streams[1], 11, b"words"))
        peer.send(peer.answer(streams[0]), peer.answer(streams[1]))
        await peer.to_the_end()
        assert peer.goaway == Reset.NO_ERROR

    async with foe(script) as server, channel(server.address) as through:
        calls = [asyncio.create_task(ask(through)) for _ in range(4)]
        done = await asyncio.gather(*calls, return_exceptions=True)
        assert done[:2] == [b"answer"] * 2
        for failed in done[2:]:
            assert isinstance(failed, Failed)
            assert (failed.trouble, failed.safe) == (Trouble.REFUSED, True)
        assert not through.usable()
        await server.done()


async def test_settings_are_confirmed_and_pings_answered() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        assert peer.acks == 1
        peer.send(frame(PING, 0, 0, b"12345678"), settings({1: 0, 9: 9}))
        got = await peer.until(PING)
        assert (got.flags, got.stream, got.payload) == (ACK, 0, b"12345678")
        while peer.acks < 2:
            await peer.frame()
        peer.send(peer.answer(request.stream))

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through) == b"answer"
        await server.done()


async def test_the_first_headers_give_up_the_dynamic_table() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({1: 0})
        first, second = await peer.until(HEADERS), await peer.until(HEADERS)
        assert first.payload[:1] == b"\x20"
        assert second.payload[:1] != b"\x20"
        for got in (first, second):
            assert peer.decoded(got.payload)[":method"] == "POST"
            peer.send(peer.answer(got.stream))

    async with foe(script) as server, channel(server.address) as through:
        await asyncio.gather(ask(through), ask(through))
        await server.done()


async def test_calls_beyond_what_the_server_takes_wait_for_their_turn() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({3: 2})
        for turn in range(10):
            both = [await peer.request(), await peer.request()]
            assert [one.stream for one in both] == [4 * turn + 1, 4 * turn + 3]
            assert [one.message for one in both] == [b"%d" % (2 * turn), b"%d" % (2 * turn + 1)]
            for one in both:
                peer.send(peer.answer(one.stream, one.message))

    async with foe(script) as server, channel(server.address) as through:
        calls = [asyncio.create_task(ask(through, b"%d" % n)) for n in range(20)]
        await asyncio.sleep(0)
        assert through.inside == 20
        assert await asyncio.gather(*calls) == [b"%d" % n for n in range(20)]


async def test_a_call_that_waited_in_vain_was_never_sent() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({3: 0})
        await peer.to_the_end()
        assert peer.resets == {}

    async with foe(script) as server, channel(server.address) as through:
        failed = await failing(through, seconds=0.1)
        assert (failed.trouble, failed.safe) == (Trouble.SILENT, True)
        through.close()
        await server.done()


async def test_numbers_for_calls_run_out() -> None:
    async with (
        foe(plain()) as server,
        channel(server.address, Limits(calls=3)) as through,
    ):
        for _ in range(3):
            assert through.usable()
            assert await ask(through) == b"answer"
        assert not through.usable()
        with pytest.raises(Failed) as caught:
            await ask(through)
        assert caught.value.safe


async def test_to_retire_is_to_end_with_the_last_call() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        asked.set()
        await told.wait()
        peer.send(peer.answer(request.stream))
        await peer.to_the_end()
        assert peer.goaway == Reset.NO_ERROR

    asked, told = asyncio.Event(), asyncio.Event()
    async with foe(script) as server, channel(server.address) as through:
        call = asyncio.create_task(ask(through))
        await asked.wait()
        through.retire()
        assert not through.usable()
        told.set()
        assert await call == b"answer"
        await server.done()


async def test_to_close_is_to_fail_what_is_in_hand() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({3: 1})
        await peer.request()
        asked.set()
        await peer.to_the_end()
        assert peer.goaway == Reset.NO_ERROR

    asked = asyncio.Event()
    async with foe(script) as server, channel(server.address) as through:
        calls = [asyncio.create_task(failing(through)) for _ in range(2)]
        await asked.wait()
        through.close()
        through.close()
        first, second = await asyncio.gather(*calls)
        assert (first.safe, second.safe) == (False, True)
        await server.done()


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20))
@how(deadline=None, max_examples=50)
async def test_noise_never_breaks_us(pieces: list[bytes]) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        peer.send(peer.head(request.stream))
        for piece in pieces:
            peer.send(piece)
        await peer.sent()
        peer.close()

    async with foe(script) as server, channel(server.address) as through:
        with pytest.raises(Failed):
            await ask(through)
