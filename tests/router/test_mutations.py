"""Good requests, damaged at random: whatever becomes of them, router and endpoint stay in step."""

from __future__ import annotations

import asyncio
import random

import pytest

from services.router.body import Limits
from services.router.door import Options
from tests.router.conftest import PREFIX, Router, running
from tests.router.origin import Origin, Seen, origin, read_body

P = PREFIX.encode()
HIDDEN = b"GET %s/hidden HTTP/1.1\r\nHost: h\r\n\r\n" % P
LAST = b"GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BASES = (
    b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s" % (P, len(HIDDEN), HIDDEN),
    b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    % (P, len(HIDDEN), HIDDEN),
    b"GET %s?q=1 HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n" % P,
)
PIECES = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x00", b"\x0b", b"\xa0", b":", b",", b";", b"0", b"1", b"-",
    b"+", b"_", b"\xff", b"#", b"?", b"//", b"/../", b"%2f", b"chunked", b"identity", b"\r\n ",
    b"Content-Length: 0\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: x\r\n", b"Host: evil\r\n", b"Connection: close\r\n",
    b"Connection: Content-Length\r\n", b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n",
    b"Connection: upgrade\r\n", b"HTTP/1.0", HIDDEN,
)  # fmt: skip


def damaged(chance: random.Random) -> bytes:
    request = chance.choice(BASES)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(request))
        match chance.randrange(4):
            case 0:
                request = request[:at] + chance.choice(PIECES) + request[at:]
            case 1:
                request = request[:at] + request[at + chance.randint(1, 3) :]
            case 2:
                request = request[:at] + bytes([chance.randrange(256)]) + request[at + 1 :]
            case _:
                lines = request.split(b"\r\n")
                lines.insert(chance.randrange(len(lines)), chance.choice(lines))
                request = b"\r\n".join(lines)
    return request


@pytest.mark.parametrize("seed", range(6))
async def test_the_endpoint_sees_what_was_answered_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    options = Options(limits=Limits(stall=0.15), patience=0.0)
    async with running(options) as router, origin() as found:
        router.route(addresses=(found.address,))
        served = 0
        for _ in range(50):
            request = damaged(chance)
            served += await trial(router, found, request)
        assert served  # of the damaged ones some are good still


async def trial(router: Router, found: Origin, request: bytes) -> int:
    """Send it, with a last request behind it; how many requests the endpoint read whole."""
    whole = 0

    async def script(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal whole
        seen.body = await read_body(seen, reader)
        whole += 1
        writer.write(b"HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        found.stray.append(await reader.read())

    found.script = script
    found.seen.clear()
    answers = await router.raw(request + LAST)
    assert answers.count(b"X-Origin") == whole, (request, answers)
    assert b"HTTP/1.1 500 " not in answers, request
    assert not any(found.stray), request
    for seen in found.seen:
        assert seen.line.split(b" ")[1].startswith(P), request
        assert seen.line.endswith(b" HTTP/1.1"), request
        assert len(seen.values("host")) == 1, request
        assert not (seen.values("content-length") and seen.values("transfer-encoding")), request
    return whole
