"""Frames that no client would send, by the seed: nothing is raised, held on to, or felt by others."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from shared.unary.codes import Code
from shared.unary.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    frame,
    settings,
    window_update,
)
from shared.unary.sending import ROUND
from shared.unary.serving import Limits
from shared.unary.serving.connection import HIGH
from tests.shared.unary.peer import framed
from tests.shared.unary.serving.guest import ECHO, FAIL, WAIT, Guest, Inn, Room, asked, inn

TALKS = 60
LIMITS = Limits(
    message=200_000,
    calls=20,
    streams=8,
    metadata=1000,
    unsent=100_000,
    greeting=0.3,
    slow=0.3,
    stall=0.3,
)


def talk(rng: Random, guest: Guest) -> list[bytes]:
    """Of a client that knows what it does, more or less."""
    said = [settings({rng.randrange(1, 8): rng.choice((0, 1, 5, 65535, 1 << 20, 1 << 31))})]
    if rng.random() < 0.7:
        said = [settings({4: rng.choice((0, 10, 1 << 30))})]
    for _ in range(rng.randrange(1, 12)):
        guest.stream += 2
        path = rng.choice((ECHO, ECHO, WAIT, FAIL, "/no/thing"))
        more = {"grpc_timeout": rng.choice(("1n", "10m", "1S"))} if rng.random() < 0.3 else {}
        block = guest.encoder.encode(asked(path, ("x", "y" * rng.choice((0, 5, 900))), **more))
        at = rng.randrange(len(block))
        if rng.random() < 0.3:
            said.append(frame(HEADERS, 0, guest.stream, block[:at]))
            said.append(frame(CONTINUATION, END_HEADERS, guest.stream, block[at:]))
        else:
            said.append(frame(HEADERS, END_HEADERS, guest.stream, block))
        body = framed(bytes(rng.choice((0, 3, 1000, 70_000))), compressed=rng.random() < 0.05)
        at = rng.randrange(len(body))
        said.append(frame(DATA, 0, guest.stream, body[:at]))
        said.append(frame(DATA, END_STREAM, guest.stream, body[at:]))
        if rng.random() < 0.4:
            said.append(window_update(rng.choice((0, guest.stream)), rng.choice((1, 1 << 20))))
    return said


def spoiled(rng: Random, said: list[bytes]) -> bytes:
    """With some of it left out, told twice, in another order, or as other bytes."""
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(said))
        match rng.randrange(6):
            case 0:
                del said[at : at + rng.randrange(1, 4)]
            case 1:
                said.insert(at, said[rng.randrange(len(said))])
            case 2:
                rng.shuffle(said)
            case 3:
                broken = bytearray(said[at] or b"\0")
                broken[rng.randrange(len(broken))] = rng.randrange(256)
                said[at] = bytes(broken)
            case 4:
                payload = rng.randbytes(rng.choice((0, 4, 6, 8, 60)))
                noise = frame(rng.randrange(12), rng.randrange(256), rng.randrange(9), payload)
                said.insert(at, noise)
            case _:
                said[at] = said[at][: rng.randrange(len(said[at]) + 1)]
        if not said:
            return b""
    return b"".join(said)


async def meet(rng: Random, here: Inn) -> None:
    """One of them comes, says what it has to say in pieces, and goes, if it isn't sent away."""
    guest = await here.stranger()
    rest = (PREFACE if rng.random() < 0.97 else PREFACE[1:]) + spoiled(rng, talk(rng, guest))
    try:
        while rest:
            size = rng.choice((1, 9, 100, 5000, 100_000))
            guest.send(rest[:size])
            rest = rest[size:]
            await asyncio.sleep(0)
        if rng.random() < 0.6:
            async with asyncio.timeout(0.6):
                await guest.to_the_end()
    except (TimeoutError, ConnectionError, RuntimeError):  # the last is uvloop's word for closed
        pass
    finally:
        guest.close()


async def honest(here: Inn, over: asyncio.Event) -> int:
    """Is served all the time."""
    served = 0
    async with here.guest() as guest:
        while not over.is_set():
            message = bytes([served % 256]) * (served % 5000)
            answer = await guest.ask(message)
            if answer.status == Code.OK:
                assert answer.body == framed(message)
                served += 1
            else:  # the others have taken all places, or all room
                assert answer.status in (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
            await asyncio.sleep(0.002)
    return served


@pytest.mark.parametrize("seed", range(2))
async def test_noise_harms_nobody(seed: int) -> None:
    rng, raised = Random(seed), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
    room = Room(most=1_000_000)
    async with inn(LIMITS, room=room) as here:
        over = asyncio.Event()
        other = asyncio.create_task(honest(here, over))
        for _ in range(TALKS // 12):
            await asyncio.gather(*(meet(rng, here) for _ in range(12)))
            for connection in here.server._connections:
                assert connection._transport.get_write_buffer_size() < HIGH + 2 * ROUND
        over.set()
        assert await other > 0
        assert not raised
        await here.serves()
