"""How much is sent and taken: windows both ways, and what is held of unfinished answers."""

from __future__ import annotations

import asyncio
import random

from shared.unary import Limits, Trouble
from shared.unary.codes import Reset
from shared.unary.frames import (
    DATA,
    DEFAULT,
    END_STREAM,
    GOAWAY,
    LONGEST,
    RST_STREAM,
    settings,
    window_update,
)
from shared.unary.receiving import CALL
from tests.shared.unary.calls import ask, channel, failing
from tests.shared.unary.peer import Peer, data, foe, framed, open_wide

FRAME = 1 << 14


async def test_no_more_is_sent_than_the_windows_let_through() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({4: 10})
        stream, _ = await peer.headers()
        total = 5 + len(question)
        allowed = 10
        rng = random.Random(5)
        while len(peer.bodies.get(stream, b"")) < min(allowed, total):
            await peer.until(DATA)
        peer.send(window_update(0, 1 << 20))
        while allowed < total:
            assert len(peer.bodies[stream]) == allowed
            step = rng.choice((1, 7, 5000, 100_000))
            if rng.random() < 0.2:  # a change of settings moves what is open already
                initial[0] += step
                peer.send(settings({4: initial[0]}))
            else:
                peer.send(window_update(stream, step))
            allowed += step
            while len(peer.bodies[stream]) < min(allowed, total):
                got = await peer.until(DATA)
                assert len(got.payload) <= FRAME
        assert got.flags & END_STREAM
        assert peer.bodies[stream][5:] == question
        peer.send(peer.answer(stream))

    initial = [10]
    question = random.Random(1).randbytes(700_000)
    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through, question) == b"answer"
        await server.done()


async def test_frames_are_as_long_as_the_server_takes_them() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({5: 1 << 15, 4: 1 << 20})
        stream, _ = await peer.headers()
        sizes = [len((await peer.until(DATA)).payload)]
        while len(peer.bodies[stream]) < DEFAULT:
            sizes.append(len((await peer.until(DATA)).payload))
        assert sizes == [1 << 15, (1 << 15) - 1]
        peer.send(settings({5: 1 << 14}), window_update(0, 1 << 20))
        while len(peer.bodies[stream]) < 100_005:
            assert len((await peer.until(DATA)).payload) <= 1 << 14
        peer.send(peer.answer(stream))

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through, bytes(100_000)) == b"answer"
        await server.done()


async def test_long_frames_are_taken_whole_and_in_pieces() -> None:
    answer = random.Random(4).randbytes(900_000)

    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        body = framed(answer)
        sent = peer.head(request.stream)
        for at in range(0, len(body), LONGEST):
            sent += data(request.stream, body[at : at + LONGEST])
        sent += peer.tail(request.stream)
        rng = random.Random(6)
        while sent:
            size = rng.choice((1, 10, 5_000, 100_000))
            peer.send(sent[:size])
            sent = sent[size:]
            await asyncio.sleep(0)

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through) == answer


async def test_a_window_may_shrink_below_nothing_and_come_back() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({4: 100})
        stream, _ = await peer.headers()
        await peer.until(DATA)
        peer.send(settings({4: 0}))  # it is at -100 now
        while peer.acks < 2:
            await peer.frame()
        peer.send(window_update(stream, 100))  # at 0
        peer.send(settings({4: 50}))
        while len(peer.bodies[stream]) < 150:
            await peer.until(DATA)
        assert len(peer.bodies[stream]) == 150
        peer.send(settings({4: 1 << 20}))
        while len(peer.bodies[stream]) < 1005:
            await peer.until(DATA)
        peer.send(peer.answer(stream))

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through, bytes(1000)) == b"answer"
        await server.done()


async def test_the_window_of_the_connection_holds_all_calls_and_large_ones_take_turns() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({4: 1 << 20})
        streams = [(await peer.headers())[0] for _ in range(3)]
        while sum(map(len, peer.bodies.values())) < DEFAULT:
            await peer.until(DATA)
        peer.send(window_update(0, 1 << 24))
        order: list[int] = []
        while sum(map(len, peer.bodies.values())) < 3 * 600_005:
            order.append((await peer.until(DATA)).stream)
        for at in range(0, 90, 3):
            assert set(order[at : at + 3]) == set(streams)
        for stream in (1, 3, 5):
            peer.send(peer.answer(stream))

    async with foe(script) as server, channel(server.address) as through:
        await asyncio.gather(*(ask(through, bytes(600_000)) for _ in range(3)))
        await server.done()


async def test_a_small_call_passes_a_large_one_that_is_held_up() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        peer.send(window_update(0, 1 << 24))
        large, _ = await peer.headers()
        while len(peer.bodies.get(large, b"")) < DEFAULT:
            await peer.until(DATA)
        stuck.set()
        small = await peer.request()
        peer.send(peer.answer(small.stream, b"small"))
        peer.send(window_update(large, 1 << 24))
        while len(peer.bodies[large]) < 1_000_005:
            await peer.until(DATA)
        peer.send(peer.answer(large, b"large"))

    stuck = asyncio.Event()
    async with foe(script) as server, channel(server.address) as through:
        large = asyncio.create_task(ask(through, bytes(1_000_000)))
        await stuck.wait()
        assert await ask(through) == b"small"
        assert await large == b"large"


async def test_a_call_that_ends_while_it_is_sent_leaves_room_for_others() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet({4: 1 << 30})
        stream, _ = await peer.headers()
        await peer.until(RST_STREAM)
        assert peer.resets == {stream: Reset.CANCEL}
        peer.send(window_update(stream, 1 << 20), window_update(0, 1 << 20))
        request = await peer.request()
        peer.send(peer.answer(request.stream))

    async with foe(script) as server, channel(server.address) as through:
        failed = await failing(through, bytes(200_000), seconds=0.1)
        assert (failed.trouble, failed.safe) == (Trouble.SILENT, False)
        assert await ask(through) == b"answer"


async def test_a_window_of_a_call_may_not_overflow() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for increment, code in (
            ((1 << 31) - 1, Reset.FLOW_CONTROL_ERROR),
            (0, Reset.PROTOCOL_ERROR),
        ):
            stream, _ = await peer.headers()
            peer.send(window_update(stream, increment))
            await peer.until(RST_STREAM)
            assert peer.resets[stream] == code
            peer.send(window_update(0, 1000))
        request = await peer.request()
        peer.send(peer.answer(request.stream))

    async with foe(script) as server, channel(server.address) as through:
        for _ in range(2):
            assert (await failing(through)).trouble is Trouble.BAD
        assert await ask(through) == b"answer"
        await server.done()


async def test_settings_may_not_overflow_a_window() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        stream, _ = await peer.headers()
        peer.send(window_update(stream, (1 << 31) - 1 - DEFAULT))
        peer.send(settings({4: (1 << 31) - 1}))
        await peer.until(GOAWAY)
        assert peer.goaway == Reset.FLOW_CONTROL_ERROR

    async with foe(script) as server, channel(server.address) as through:
        assert (await failing(through)).trouble is Trouble.BAD
        await server.done()


async def test_windows_are_given_back_as_an_answer_is_taken() -> None:
    answer = random.Random(2).randbytes(40 << 20)

    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        stream = request.stream
        peer.send(peer.head(stream))
        body, sent = framed(answer), 0
        while sent < len(body):
            given = peer.windows
            room = min(DEFAULT + given.get(0, 0), CALL + given.get(stream, 0)) - sent
            if room < FRAME and room < len(body) - sent:
                await peer.frame()
                continue
            size = min(FRAME, room)
            peer.send(data(stream, body[sent : sent + size]))
            sent += size
        peer.send(peer.tail(stream))

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through) == answer
        await server.done()


async def test_who_sends_more_than_the_window_is_stopped() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        first, second = (await peer.request()).stream, (await peer.request()).stream
        size = (8 << 20).to_bytes(4, "big")
        for stream in (first, second):
            peer.send(peer.head(stream) + data(stream, b"\0" + size))
        peer.send(data(first, bytes(FRAME)) * (CALL // FRAME))
        while not peer.windows.get(first):
            await peer.frame()
        peer.send(data(second, bytes(FRAME)) * (CALL // FRAME))
        await peer.until(RST_STREAM)
        assert peer.resets == {second: Reset.FLOW_CONTROL_ERROR}
        assert second not in peer.windows
        left = (8 << 20) - CALL
        sent = 0
        while sent < left:
            room = peer.windows[first] - sent - 5
            while room < FRAME and room < left - sent:
                await peer.frame()
                room = peer.windows[first] - sent - 5
            peer.send(data(first, bytes(min(FRAME, left - sent))))
            sent += FRAME
        peer.send(peer.tail(first))

    async with foe(script) as server, channel(server.address, Limits(held=1)) as through:
        good = asyncio.create_task(ask(through))
        await asyncio.sleep(0)
        failed = await failing(through)
        assert (failed.trouble, failed.detail) == (Trouble.BAD, "It sends more than it may.")
        assert await good == bytes(8 << 20)
        await server.done()


async def test_unfinished_answers_that_are_too_much_come_one_after_the_other() -> None:
    size = 8 << 20

    async def script(peer: Peer) -> None:
        await peer.greet()
        streams = [(await peer.request()).stream for _ in range(6)]
        left = {stream: framed(bytes((stream,)) * size) for stream in streams}
        sent = dict.fromkeys(streams, 0)
        peer.send(*(peer.head(stream) for stream in streams))
        while left:
            moved = False
            for stream, body in list(left.items()):
                rooms = (
                    DEFAULT + peer.windows.get(0, 0) - sum(sent.values()),
                    CALL + peer.windows.get(stream, 0) - sent[stream],
                )
                piece = body[sent[stream] : sent[stream] + min(FRAME, *rooms)]
                if piece and min(rooms) > 0:
                    moved = True
                    peer.send(data(stream, piece))
                    sent[stream] += len(piece)
                    if sent[stream] == len(body):
                        del left[stream]
                        peer.send(peer.tail(stream))
                        finished.append(stream)
            halves = [n for s, n in sent.items() if s in left]
            most.append(sum(halves))
            if not moved:
                await peer.frame()

    finished: list[int] = []
    most: list[int] = []
    async with foe(script) as server, channel(server.address, Limits(held=size)) as through:
        answers = await asyncio.gather(*(ask(through) for _ in range(6)))
        assert answers == [bytes((stream,)) * size for stream in (1, 3, 5, 7, 9, 11)]
        await server.done()
    assert max(most) <= 2 * size + 6 * CALL


async def test_what_comes_late_of_a_call_that_we_broke_off_is_dropped_to_a_limit() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        request = await peer.request()
        await peer.until(RST_STREAM)
        late = data(request.stream, bytes(FRAME)) * (CALL // FRAME)
        peer.send(peer.head(request.stream), late)
        request = await peer.request()
        peer.send(peer.answer(request.stream))
        await peer.sent()
        await peer.request()
        peer.send(data(1, b"x"))
        await peer.until(GOAWAY)
        assert peer.goaway == Reset.STREAM_CLOSED

    async with foe(script) as server, channel(server.address) as through:
        assert (await failing(through, seconds=0.1)).trouble is Trouble.SILENT
        assert await ask(through) == b"answer"
        assert (await failing(through)).trouble is Trouble.BAD
        await server.done()


async def test_a_server_that_reads_slowly_gets_everything_in_the_end() -> None:
    question = random.Random(3).randbytes(20 << 20)

    async def script(peer: Peer) -> None:
        await open_wide(peer)
        stream, _ = await peer.headers()
        while len(peer.bodies.get(stream, b"")) < len(question) + 5:
            await peer.frame()
            if len(peer.bodies.get(stream, b"")) % 7 == 0:
                await asyncio.sleep(0.001)
        assert peer.bodies[stream][5:] == question
        peer.send(peer.answer(stream))

    async with foe(script) as server, channel(server.address) as through:
        assert await ask(through, question) == b"answer"
        await server.done()
