"""Calls as they should be, and as they may be all the same: what is answered to each."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from shared.address import Address
from shared.unary import Channel
from shared.unary.codes import Code, Reset
from shared.unary.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PADDED,
    PRIORITY,
    RST_STREAM,
    WEIGHED,
    frame,
    reset,
    window_update,
)
from shared.unary.serving import Limits
from tests.shared.unary.peer import framed
from tests.shared.unary.serving.guest import ECHO, FAIL, WAIT, asked, inn


async def test_a_message_is_answered_with_a_head_a_message_and_a_status() -> None:
    async with inn() as here, here.guest() as guest:
        for message in (b"", b"hi", bytes(100_000)):
            answer = await guest.ask(message)
            assert answer.headers == {":status": "200", "content-type": "application/grpc"}
            assert answer.body == framed(message)
            assert answer.trailers == {"grpc-status": "0"}


async def test_it_does_not_matter_in_what_pieces_a_call_comes() -> None:
    async with inn() as here, here.guest() as guest:
        block = guest.encoder.encode(asked())
        body = framed(b"in pieces")
        guest.send(
            frame(HEADERS, PADDED | WEIGHED, 1, b"\x03" + bytes(5) + block[:7] + bytes(3)),
            frame(CONTINUATION, 0, 1, block[7:9]),
            frame(CONTINUATION, END_HEADERS, 1, block[9:]),
            frame(PRIORITY, 0, 3, bytes(5)),
            frame(99, 0xFF, 1, b"from a later document"),
            *(frame(DATA, 0, 1, body[at : at + 1]) for at in range(len(body))),
            frame(DATA, PADDED | END_STREAM, 1, b"\x02" + bytes(2)),
        )
        assert (await guest.answer_of(1)).body == body


async def test_answers_come_in_the_order_in_which_they_are_there() -> None:
    async with inn() as here, here.guest() as guest:
        first = guest.call(b"first", asked(WAIT))
        assert (await guest.ask(b"second")).body == framed(b"second")
        here.waiting.go.set()
        assert (await guest.answer_of(first)).body == framed(b"first")


async def test_large_messages_pass_both_ways_at_once() -> None:
    async with inn() as here:
        channel = await Channel.open(Address(f"http://127.0.0.1:{here.port}"), 10)
        messages = [bytes([n]) * size for n, size in enumerate((20_000_000, 3_000_000, 9, 602_112))]
        ends = asyncio.get_running_loop().time() + 60
        calls = (channel.call(ECHO.encode(), message, ends) for message in messages)
        assert await asyncio.gather(*calls) == messages
        assert here.room.peak < 2 * sum(map(len, messages))
        channel.close()


async def test_no_more_of_an_answer_is_sent_than_the_windows_let_through() -> None:
    async with inn() as here, here.guest({INITIAL_WINDOW_SIZE: 10}) as guest:
        stream, allowed, total = guest.call(bytes(100_000)), 10, 100_005
        guest.send(window_update(0, 1 << 20))
        rng = Random(7)
        while allowed < total:
            while len(guest.bodies.get(stream, b"")) < allowed:
                await guest.until(DATA)
            assert len(guest.bodies[stream]) == allowed
            step = rng.choice((1, 7, 5000, 30_000))
            guest.send(window_update(stream, step))
            allowed += step
        got = await guest.until(HEADERS)
        assert got.flags & END_STREAM
        assert guest.bodies[stream] == framed(bytes(100_000))


@pytest.mark.parametrize(
    ("pairs", "code", "text"),
    [
        (asked("/made.up.Service/Nothing"), Code.UNIMPLEMENTED, "no such method"),
        (asked("made.up"), Code.UNIMPLEMENTED, "no such method"),
        (asked(grpc_encoding="gzip"), Code.UNIMPLEMENTED, "grpc-encoding"),
        (asked(grpc_timeout="1x"), Code.INVALID_ARGUMENT, "grpc-timeout"),
        (asked(grpc_timeout="123456789S"), Code.INVALID_ARGUMENT, "grpc-timeout"),
        (asked(x="y" * 16_500), Code.RESOURCE_EXHAUSTED, "16384 bytes allowed"),
    ],
)
async def test_what_is_said_about_a_call_may_be_a_reason_to_refuse_it(pairs, code, text) -> None:
    async with inn() as here, here.guest() as guest:
        answer = await guest.ask(b"hi", pairs)
        assert (answer.status, text in answer.text) == (code, True)
        assert not answer.body
        assert (await guest.ask()).body == framed(b"hi")


@pytest.mark.parametrize(
    "pairs",
    [
        asked(te=""),
        asked(content_type="application/grpc+proto"),
        asked(grpc_encoding="identity"),
        asked(grpc_timeout="1H"),
        asked(grpc_timeout="99999999n"),
        asked(ECHO, ("x-bin", "AAA"), ("x-bin", "BBB")),
    ],
)
async def test_what_is_said_about_a_call_may_be_of_no_matter(pairs) -> None:
    async with inn() as here, here.guest() as guest:
        assert (await guest.ask(b"hi", pairs)).body == framed(b"hi")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"content-type": "application/json"}, "415"),
        ({"content-type": "application/grpc-web"}, "415"),
        ({":method": "GET"}, "405"),
    ],
)
async def test_what_is_no_call_of_grpc_has_an_answer_of_http(changes, status) -> None:
    async with inn() as here, here.guest() as guest:
        answer = await guest.ask(b"hi", tuple({**dict(asked()), **changes}.items()))
        assert answer.headers == {":status": status}


@pytest.mark.parametrize(
    "pairs",
    [
        asked()[1:],
        (*asked()[:2], *asked()[3:]),
        (*asked(), (":path", ECHO)),
        (*asked(), ("connection", "close")),
        (*asked(), ("content-type", "application/grpc")),
        (*asked(), ("X", "y")),
        (*asked(), (":status", "200")),
        (("te", "trailers"), *asked()),
        (*asked(), ("x", "a\nb")),
    ],
)
async def test_what_is_no_request_of_http2_is_reset(pairs) -> None:
    async with inn() as here, here.guest() as guest:
        assert (await guest.ask(b"hi", pairs)).reset == Reset.PROTOCOL_ERROR
        assert (await guest.ask()).body == framed(b"hi")


async def test_a_status_comes_with_its_words_and_when_to_try_again() -> None:
    async with inn() as here, here.guest() as guest:
        answer = await guest.ask("100 % größe\n".encode(), asked(FAIL))
        assert answer.headers == {
            ":status": "200",
            "content-type": "application/grpc",
            "grpc-status": "5",
            "grpc-message": "100 %25 gr%C3%B6%C3%9Fe%0A",
            "retry-after": "7",
        }


async def test_a_mistake_of_ours_is_internal_and_is_not_told(caplog) -> None:
    with caplog.at_level(logging.CRITICAL):
        async with inn() as here, here.guest() as guest:
            answer = await guest.ask(b"", asked(FAIL))
            assert (answer.status, answer.text) == (Code.INTERNAL, "Something went wrong here")


async def test_a_method_that_gives_up_leaves_nobody_waiting() -> None:
    async with inn() as here, here.guest() as guest:
        assert (await guest.ask(b"cancelled", asked(FAIL))).status == Code.CANCELLED


async def test_a_call_without_a_whole_message_is_refused() -> None:
    async with inn() as here, here.guest() as guest:
        for sent in (b"", b"\0\0", framed(b"cut off")[:-1]):
            stream = guest.open()
            guest.send(frame(DATA, END_STREAM, stream, sent))
            answer = await guest.answer_of(stream)
            assert (answer.status, "no message" in answer.text) == (Code.INVALID_ARGUMENT, True)
        answer = await guest.answer_of(guest.open(flags=END_STREAM))
        assert answer.status == Code.INVALID_ARGUMENT
        stream = guest.open()
        guest.send(frame(HEADERS, END_HEADERS | END_STREAM, stream))  # as trailers
        assert (await guest.answer_of(stream)).status == Code.INVALID_ARGUMENT


async def test_a_message_that_is_compressed_is_not_unpacked() -> None:
    async with inn() as here, here.guest() as guest:
        stream = guest.open()
        guest.send(frame(DATA, 0, stream, framed(b"xx", compressed=True)))
        answer = await guest.answer_of(stream)
        assert answer.status == Code.UNIMPLEMENTED
        assert answer.headers["grpc-accept-encoding"] == "identity"


async def test_a_message_that_is_too_large_is_refused_before_it_comes() -> None:
    async with inn(Limits(message=100)) as here, here.guest() as guest:
        assert (await guest.ask(bytes(100))).status == Code.OK
        stream = guest.open()
        guest.send(frame(DATA, 0, stream, framed(bytes(101))[:5]))
        answer = await guest.answer_of(stream)
        assert answer.status == Code.RESOURCE_EXHAUSTED
        assert "101 bytes; 100 are taken" in answer.text
        assert await guest.until(RST_STREAM)
        assert guest.resets[stream] == Reset.NO_ERROR


async def test_who_sends_more_than_one_message_is_answered_to_the_first() -> None:
    async with inn() as here, here.guest() as guest:
        for later in (framed(b"second"), b"\xff"):
            stream = guest.open()
            guest.send(frame(DATA, 0, stream, framed(b"first") + later))
            guest.send(frame(DATA, 0, stream, later))
            answer = await guest.answer_of(stream)
            assert answer.body == framed(b"first")
            await guest.until(RST_STREAM)
            assert guest.resets[stream] == Reset.NO_ERROR
            guest.send(frame(DATA, END_STREAM, stream, later))  # it could not know


async def test_who_gives_a_call_up_has_it_cancelled() -> None:
    async with inn() as here, here.guest() as guest:
        stream = guest.call(b"never mind", asked(WAIT))
        assert await here.waiting.began.get() == b"never mind"
        guest.send(reset(stream, Reset.CANCEL))
        async with asyncio.timeout(10):
            assert await here.waiting.gone.get() == b"never mind"
        assert (await guest.ask()).body == framed(b"hi")


async def test_who_goes_away_has_all_calls_cancelled() -> None:
    async with inn() as here, here.guest() as guest:
        guest.call(b"1", asked(WAIT))
        guest.call(b"2", asked(WAIT))
        await here.waiting.began.get()
        await here.waiting.began.get()
        guest.close()
        async with asyncio.timeout(10):
            assert {await here.waiting.gone.get(), await here.waiting.gone.get()} == {b"1", b"2"}


async def test_a_method_that_does_not_heed_its_deadline_is_cancelled() -> None:
    async with inn(Limits(slow=0.2)) as here, here.guest() as guest:
        answer = await guest.ask(b"late", asked(WAIT, grpc_timeout="10m"))
        assert answer.status == Code.DEADLINE_EXCEEDED
        async with asyncio.timeout(10):
            assert await here.waiting.gone.get() == b"late"


async def test_more_calls_than_a_connection_may_have_are_refused_without_being_looked_at() -> None:
    async with inn(Limits(streams=2)) as here, here.guest() as guest:
        streams = [guest.call(b"%d" % n, asked(WAIT)) for n in range(2)]
        assert (await guest.ask()).reset == Reset.REFUSED_STREAM
        here.waiting.go.set()
        answers = [await guest.answer_of(stream) for stream in streams]
        assert [answer.body for answer in answers] == [framed(b"0"), framed(b"1")]
        assert (await guest.ask()).body == framed(b"hi")


async def test_more_calls_than_all_may_have_are_refused() -> None:
    async with inn(Limits(calls=1)) as here, here.guest() as guest, here.guest() as other:
        stream = guest.call(b"mine", asked(WAIT))
        await here.waiting.began.get()
        assert (await other.ask()).status == Code.RESOURCE_EXHAUSTED
        here.waiting.go.set()
        assert (await guest.answer_of(stream)).body == framed(b"mine")
        assert (await other.ask()).body == framed(b"hi")
