"""Clients that mean no good: each is shown out, and everybody else is served as ever."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from shared.unary.codes import Code, Reset
from shared.unary.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LONGEST,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    reset,
    settings,
    window_update,
)
from shared.unary.receiving import CALL
from shared.unary.serving import Limits
from shared.unary.serving.connection import HIGH
from tests.shared.unary.peer import framed
from tests.shared.unary.serving.guest import ECHO, WAIT, Guest, Room, asked, inn

FLOODS: dict[str, Callable[[Guest], bytes]] = {
    "rapid reset": lambda guest: _opened(guest) + reset(guest.stream, Reset.CANCEL),
    "calls that are none": lambda guest: _opened(guest, asked()[1:]),
    "settings": lambda guest: settings({INITIAL_WINDOW_SIZE: 5}),
    "acknowledged settings": lambda guest: frame(SETTINGS, ACK, 0),
    "acknowledged pings": lambda guest: frame(PING, ACK, 0, bytes(8)),
    "windows": lambda guest: window_update(0, 1),
    "empty data": lambda guest: frame(DATA, 0, 1),
    "padding": lambda guest: frame(DATA, PADDED, 1, b"\xff" + bytes(255)),
    "data of a byte": lambda guest: frame(DATA, 0, 1, b"\0"),
    "data for nobody": lambda guest: frame(DATA, 0, 3, b"x"),
    "priorities": lambda guest: frame(PRIORITY, 0, 1, bytes(5)),
    "unknown frames": lambda guest: frame(200, 0, 0),
    "farewells": lambda guest: frame(GOAWAY, 0, 0, bytes(8)),
    "resets": lambda guest: reset(3, 8),
}


def _opened(guest: Guest, pairs: tuple[tuple[str, str], ...] = asked(WAIT)) -> bytes:
    guest.stream += 2
    return frame(HEADERS, END_HEADERS, guest.stream, guest.encoder.encode(pairs))


@pytest.mark.parametrize("flood", FLOODS)
async def test_who_only_talks_is_shown_out(flood: str) -> None:
    async with inn() as here, here.guest({}) as guest:
        guest.open(asked(WAIT))
        assert (await guest.answer_of(guest.call(pairs=asked()[1:]))).reset
        for _ in range(40):
            guest.send(*(FLOODS[flood](guest) for _ in range(200)))
        assert await guest.end() == Reset.ENHANCE_YOUR_CALM
        await here.serves()


async def test_who_gives_calls_up_has_no_more_in_hand_than_who_does_not() -> None:
    """What was begun for a call takes its place until it has really ended."""
    async with inn(Limits(streams=2)) as here, here.guest() as guest:
        stubborn = asyncio.Event()

        async def answer(message: bytes, deadline: float | None) -> bytes:
            here.waiting.began.put_nowait(message)
            try:
                await asyncio.sleep(60)
            finally:
                await stubborn.wait()
            return message

        here.waiting.answer = answer  # type: ignore[method-assign]
        for _ in range(2):
            stream = guest.call(b"x", asked(WAIT))
            await here.waiting.began.get()
            guest.send(reset(stream, Reset.CANCEL))
        assert (await guest.ask()).reset == Reset.REFUSED_STREAM
        stubborn.set()
        await here.until(lambda: not here.server._hall.tasks)
        assert (await guest.ask()).body == framed(b"hi")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(DATA, 0, 0, b"x"), Reset.PROTOCOL_ERROR),
        (frame(DATA, 0, 9, b"x"), Reset.PROTOCOL_ERROR),
        (frame(DATA, 0, 2, b"x"), Reset.PROTOCOL_ERROR),
        (frame(DATA, PADDED, 1, b"\x05abc"), Reset.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 2, b"\x83"), Reset.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 0, b"\x83"), Reset.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 5, b"\xff\xff\xff"), Reset.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 5, b"\x3f\xff\xff\x7f"), Reset.COMPRESSION_ERROR),
        (frame(HEADERS, 0, 5, b"\x83") + frame(PING, 0, 0, bytes(8)), Reset.PROTOCOL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, b"\x83"), Reset.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 5) + frame(CONTINUATION, 0, 5) * 20, Reset.ENHANCE_YOUR_CALM),
        (
            frame(HEADERS, 0, 5, bytes(20_000)) + frame(CONTINUATION, 0, 5, bytes(20_000)),
            Reset.ENHANCE_YOUR_CALM,
        ),
        (frame(HEADERS, 0, 5, bytes(33_000)), Reset.FRAME_SIZE_ERROR),
        (frame(99, 0, 0, bytes(33_000)), Reset.FRAME_SIZE_ERROR),
        (frame(DATA, PADDED, 1, bytes(33_000)), Reset.FRAME_SIZE_ERROR),
        (struct.pack(">BHBBL", LONGEST + 1 >> 16, LONGEST + 1 & 0xFFFF, 0, 0, 1), 6),
        (frame(SETTINGS, 0, 0, bytes(5)), Reset.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1), Reset.PROTOCOL_ERROR),
        (frame(SETTINGS, ACK, 0, bytes(6)), Reset.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, bytes(6 * 65)), Reset.ENHANCE_YOUR_CALM),
        (settings({2: 2}), Reset.PROTOCOL_ERROR),
        (settings({INITIAL_WINDOW_SIZE: 1 << 31}), Reset.FLOW_CONTROL_ERROR),
        (settings({5: 1}), Reset.PROTOCOL_ERROR),
        (frame(PING, 0, 0, bytes(7)), Reset.FRAME_SIZE_ERROR),
        (frame(PING, 0, 1, bytes(8)), Reset.PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 1, bytes(3)), Reset.FRAME_SIZE_ERROR),
        (reset(7, 8), Reset.PROTOCOL_ERROR),
        (frame(GOAWAY, 0, 0, bytes(7)), Reset.FRAME_SIZE_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(3)), Reset.FRAME_SIZE_ERROR),
        (window_update(0, 0), Reset.PROTOCOL_ERROR),
        (window_update(0, (1 << 31) - 1), Reset.FLOW_CONTROL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), Reset.PROTOCOL_ERROR),
    ],
)
async def test_what_makes_the_rest_doubtful_ends_the_connection(sent: bytes, code: int) -> None:
    async with inn() as here, here.guest({}) as guest:
        guest.call(b"in hand", asked(WAIT))
        await here.waiting.began.get()
        guest.send(sent)
        assert await guest.end() == code
        assert await here.waiting.gone.get() == b"in hand"
        await here.serves()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (window_update(3, 0), Reset.PROTOCOL_ERROR),
        (window_update(3, (1 << 31) - 1), Reset.FLOW_CONTROL_ERROR),
        (frame(HEADERS, END_HEADERS, 3, b"\x83"), Reset.PROTOCOL_ERROR),
        (frame(DATA, END_STREAM, 3) + frame(DATA, 0, 3), Reset.STREAM_CLOSED),
    ],
)
async def test_what_is_wrong_with_one_call_ends_that_call(sent: bytes, code: int) -> None:
    async with inn() as here, here.guest({}) as guest:
        first = guest.call(b"first", asked(WAIT))
        wrong = guest.open(asked(WAIT))
        guest.send(frame(DATA, 0, wrong, framed(b"x")), sent)
        assert (await guest.answer_of(wrong)).reset == code
        here.waiting.go.set()
        assert (await guest.answer_of(first)).body == framed(b"first")


async def test_a_list_of_headers_that_grows_when_it_is_read_ends_the_connection() -> None:
    async with inn() as here, here.guest() as guest:
        large = b"\x40\x01x" + b"\x7f\xa1\x1e" + b"y" * 4000  # 4 KB, put into the table ...
        guest.send(frame(HEADERS, END_HEADERS, 1, large + b"\xbe" * 10_000))  # ... and told often
        assert await guest.end() == Reset.COMPRESSION_ERROR
        await here.serves()


async def test_blocks_that_take_long_to_read_are_reckoned_by_their_time() -> None:
    async with inn() as here, here.guest() as guest:
        block = guest.encoder.encode(asked()) + b"\x00\x01a\x01b" * 400
        for stream in range(1, 4001, 2):
            guest.send(frame(HEADERS, END_HEADERS, stream, b"\x20\x3f\xe1\x1f" + block))
        assert await guest.end() == Reset.ENHANCE_YOUR_CALM
        await here.serves()


async def test_who_says_nothing_is_not_waited_for() -> None:
    async with inn(Limits(greeting=0.1)) as here:
        for said in (b"", PREFACE[:10], PREFACE, PREFACE + settings({})[:5]):
            guest = await here.stranger()
            guest.send(said)
            await guest.end()
            guest.close()
        await here.serves()


async def test_who_does_not_speak_http2_is_told_what_is_spoken_here() -> None:
    async with inn() as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(10):
            said = await reader.read()
        assert said.startswith(b"HTTP/1.1 400 ")
        assert b"gRPC" in said
        writer.close()
        for wrong in (
            PREFACE[:-1] + b"x",
            b"\x16\x03\x01\x02",
            PREFACE + frame(PING, 0, 0, bytes(8)),
        ):
            guest = await here.stranger()
            guest.send(wrong)
            await guest.end()
            guest.close()


@pytest.mark.parametrize(
    "begun",
    [frame(HEADERS, END_HEADERS, 1, bytes(90))[:50], frame(HEADERS, 0, 1), bytes(3)],
    ids=["a frame", "headers", "a head"],
)
async def test_who_begins_to_say_something_has_to_end_it(begun: bytes) -> None:
    async with inn(Limits(slow=0.1)) as here, here.guest() as guest:
        guest.send(begun)
        await guest.end()
        await here.serves()


async def test_a_message_that_does_not_come_is_not_waited_for() -> None:
    async with inn(Limits(slow=0.1)) as here, here.guest() as guest:
        stream = guest.open()
        guest.send(frame(DATA, 0, stream, framed(bytes(1000))[:500]))
        answer = await guest.answer_of(stream)
        assert (answer.status, answer.text) == (
            Code.DEADLINE_EXCEEDED,
            "The request does not come",
        )
        assert here.room.held == 0
        assert (await guest.ask()).body == framed(b"hi")


async def test_what_was_announced_takes_no_room() -> None:
    async with inn() as here, here.guest() as guest:
        for _ in range(50):
            stream = guest.open()
            guest.send(frame(DATA, 0, stream, struct.pack(">BL", 0, 200 << 20) + bytes(1000)))
        await here.until(lambda: here.room.held >= 50_000)
        assert here.room.peak <= 50 * 2 * 1005


async def test_what_there_is_no_room_for_is_refused_with_the_reason() -> None:
    async with inn(room=Room(most=100_000)) as here, here.guest() as guest:
        first = guest.open()
        guest.send(frame(DATA, 0, first, framed(bytes(90_000))[:60_000]))
        await here.until(lambda: here.room.held >= 60_000)
        answer = await guest.ask(bytes(60_000))
        assert (answer.status, answer.text) == (Code.UNAVAILABLE, "no room")
        assert answer.headers["retry-after"] == "1"
        guest.send(frame(DATA, END_STREAM, first, framed(bytes(90_000))[60_000:]))
        assert (await guest.answer_of(first)).body == framed(bytes(90_000))
        assert here.room.peak <= 100_000


async def test_nobody_can_send_more_of_a_message_than_was_granted() -> None:
    async with inn() as here, here.guest() as guest:
        stream = guest.open(asked(WAIT))
        guest.send(frame(DATA, 0, stream, framed(b"first")))
        await here.waiting.began.get()
        for _ in range(CALL // 100_000 + 1):  # nothing is given back for what is dropped
            guest.send(frame(DATA, 0, stream, bytes(100_000)))
        assert (await guest.answer_of(stream)).reset == Reset.FLOW_CONTROL_ERROR
        for _ in range(CALL // 100_000 + 1):
            guest.send(frame(DATA, 0, stream, bytes(100_000)))
        assert await guest.end() == Reset.STREAM_CLOSED


async def test_an_answer_that_is_not_taken_is_given_up() -> None:
    async with inn(Limits(stall=0.2)) as here, here.guest({INITIAL_WINDOW_SIZE: 100}) as guest:
        answer = await guest.ask(bytes(1000))
        assert answer.reset == Reset.ENHANCE_YOUR_CALM
        assert len(answer.body) == 100
        assert (await guest.ask(bytes(10))).body == framed(bytes(10))


async def test_who_takes_nothing_at_all_is_not_heard_and_then_let_go() -> None:
    async with inn(Limits(stall=0.5)) as here, here.guest() as guest:
        guest._reader._transport.pause_reading()  # type: ignore[attr-defined]
        [connection] = here.server._connections
        kernel = connection._transport.get_extra_info("socket")
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        guest.open(asked("/no/thing"), END_STREAM)
        block, flags = guest.encoder.encode(asked("/no/thing")), END_HEADERS | END_STREAM
        most = 0

        def gone() -> bool:
            nonlocal most
            most = max(most, connection._transport.get_write_buffer_size())
            return not here.server._connections

        for stream in range(3, 120_001, 2):  # each is told why it is refused
            guest.send(frame(HEADERS, flags, stream, block))
        await here.until(gone)
        assert HIGH < most < 6 * HIGH
        assert connection.calls.last < 120_000
        await here.serves()


async def test_answers_that_nobody_takes_are_cut_when_there_are_too_many() -> None:
    limits = Limits(unsent=250_000)
    async with inn(limits) as here, here.guest({INITIAL_WINDOW_SIZE: 0}) as slow:
        streams = [slow.call(bytes(100_000)) for _ in range(3)]
        assert (await slow.answer_of(streams[0])).reset == Reset.ENHANCE_YOUR_CALM
        slow.send(window_update(0, 1_000_000), settings({INITIAL_WINDOW_SIZE: 1 << 20}))
        async with asyncio.timeout(10):
            while any(len(slow.bodies.get(stream, b"")) < 100_005 for stream in streams[1:]):
                await slow.frame()


async def test_who_is_idle_longest_makes_room() -> None:
    async with inn(Limits(connections=2)) as here, here.guest() as busy, here.guest() as idle:
        stream = busy.call(b"mine", asked(WAIT))
        await here.waiting.began.get()
        async with here.guest() as third:
            assert (await third.ask()).body == framed(b"hi")
            assert await idle.end() == Reset.NO_ERROR
            third.call(b"other", asked(WAIT))
            await here.waiting.began.get()
            fourth = await here.stranger()
            fourth.send(PREFACE, settings({}))
            assert await fourth.end() is None
            fourth.close()
            here.waiting.go.set()
            assert (await busy.answer_of(stream)).body == framed(b"mine")


async def test_who_pings_too_often_is_told_so() -> None:
    async with inn() as here, here.guest() as guest:
        for _ in range(10):  # an answer is a reason to ping
            assert (await guest.ask()).body == framed(b"hi")
            guest.send(frame(PING, 0, 0, bytes(8)))
            await guest.until(PING)
        for _ in range(5):
            guest.send(frame(PING, 0, 0, bytes(8)))
        got = await guest.until(GOAWAY)
        assert (guest.goaway, got.payload[8:]) == (Reset.ENHANCE_YOUR_CALM, b"too_many_pings")


@pytest.mark.parametrize("close", [True, False])
async def test_many_strangers_at_once_leave_nothing_behind(close: bool) -> None:
    async def stranger(n: int) -> None:
        guest = await here.stranger()
        guest.send(PREFACE[: n % 24], settings({}))
        if n % 3:
            guest.send(PREFACE[n % 24 :])
        if close:
            guest.close()
        else:
            await guest.end()
            guest.close()

    async with inn(Limits(greeting=0.2, connections=40)) as here:
        everybody: list[Awaitable[None]] = [stranger(n) for n in range(80)]
        await asyncio.gather(*everybody, return_exceptions=True)
        await here.serves()


def test_the_path_of_a_call_is_that_of_the_tests() -> None:
    assert dict(asked())[":path"] == ECHO
