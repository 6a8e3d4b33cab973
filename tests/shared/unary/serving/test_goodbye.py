"""How a connection comes to its end without a call being lost."""

from __future__ import annotations

import asyncio

from shared.unary.codes import Reset
from shared.unary.frames import ACK, GOAWAY, MOST, PING, frame, number
from shared.unary.serving import Limits
from tests.shared.unary.peer import framed
from tests.shared.unary.serving.guest import WAIT, asked, inn


async def test_what_is_asked_until_the_client_knows_is_answered() -> None:
    async with inn() as here, here.guest() as guest:
        first = guest.call(b"first", asked(WAIT))
        await here.waiting.began.get()
        stopping = asyncio.create_task(here.server.stop(10))
        got = await guest.until(GOAWAY)
        assert (number(got.payload), guest.goaway) == (MOST, Reset.NO_ERROR)
        ping = await guest.until(PING)
        assert (await guest.ask(b"between")).body == framed(b"between")
        guest.send(frame(PING, ACK, 0, ping.payload))
        got = await guest.until(GOAWAY)
        assert number(got.payload) == guest.stream
        guest.call(b"too late")
        here.waiting.go.set()
        assert (await guest.answer_of(first)).body == framed(b"first")
        assert await guest.end() == Reset.NO_ERROR
        assert guest.stream not in guest.bodies
        await stopping


async def test_who_has_nothing_in_hand_is_let_go_at_once() -> None:
    async with inn() as here, here.guest() as guest:
        await guest.ask()
        stopping = asyncio.create_task(here.server.stop(10))
        ping = await guest.until(PING)
        guest.send(frame(PING, ACK, 0, ping.payload))
        assert await guest.end() == Reset.NO_ERROR
        await stopping


async def test_what_is_in_hand_has_its_grace_and_no_more() -> None:
    async with inn() as here, here.guest() as guest:
        guest.call(b"never", asked(WAIT))
        await here.waiting.began.get()
        stopping = asyncio.create_task(here.server.stop(0.1))
        assert await guest.end() == Reset.NO_ERROR
        assert await here.waiting.gone.get() == b"never"
        await stopping


async def test_who_does_not_greet_keeps_nobody() -> None:
    async with inn() as here:
        guest = await here.stranger()
        await here.until(lambda: len(here.server._connections) == 1)
        stopping = asyncio.create_task(here.server.stop(60))
        await guest.end()
        guest.close()
        await stopping


async def test_who_is_idle_is_told_to_go() -> None:
    async with inn(Limits(idle=0.1)) as here, here.guest() as guest:
        ping = await guest.until(PING)
        guest.send(frame(PING, ACK, 0, ping.payload))
        assert await guest.end() == Reset.NO_ERROR


async def test_who_is_silent_is_asked_and_stays_when_it_answers() -> None:
    async with inn(Limits(quiet=0.1, echo=5.0)) as here, here.guest() as guest:
        for _ in range(3):
            ping = await guest.until(PING)
            guest.send(frame(PING, ACK, 0, ping.payload))
        assert (await guest.ask()).body == framed(b"hi")


async def test_who_is_silent_and_does_not_answer_is_let_go() -> None:
    async with inn(Limits(quiet=0.1, echo=0.1)) as here, here.guest() as guest:
        guest.call(b"in hand", asked(WAIT))
        await guest.end()
        assert await here.waiting.gone.get() == b"in hand"
