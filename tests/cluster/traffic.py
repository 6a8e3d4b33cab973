"""Traffic while things break: so many requests a second, whatever became of those before.

What a client may rely on, and what is therefore counted as a failure:

- An answer that came is the endpoint's own. A GET that found no connection, or lost it before an
  answer began, is sent again by the client, as every HTTP client may; when it has got one in the
  end, it was served.
- A POST is sent once. It may fail only when the router that had it was killed, never by what
  happens to replicas, to the cluster's API, or to another service.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Final, Literal

import aiohttp
import msgspec

TRIES: Final = 8  # of a GET
PAUSE: Final = 0.25  # seconds between two of them
PATIENCE: Final = 20.0  # seconds for one try

LOST: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is sent again and again. `expect`: what its answer must have in it."""

    method: Literal["GET", "POST"]
    url: str
    body: bytes | None = None
    expect: bytes = b""
    headers: dict[str, str] = {}


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. `status` is the answer's, or the name of what came instead."""

    ask: Ask
    sent: float  # seconds since the traffic began
    took: float
    tries: int
    status: str

    @property
    def good(self) -> bool:
        return self.status == "200"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all of them."""

    served: tuple[Served, ...]

    @property
    def failures(self) -> tuple[Served, ...]:
        return tuple(each for each in self.served if not each.good)

    def counts(self) -> dict[str, int]:
        """`GET 200` -> how many."""
        return dict(Counter(f"{each.ask.method} {each.status}" for each in self.served))

    def latency(self, share: float) -> float:
        """Seconds in which that share of the good ones was answered, tries and pauses included."""
        took = sorted(each.took for each in self.served if each.good)
        return took[min(len(took) - 1, int(share * len(took)))] if took else 0.0

    def gap(self, url: str) -> float:
        """The longest time, in seconds, in which nothing that was sent to `url` was served."""
        good = [each.sent for each in self.served if each.ask.url == url and each.good]
        marks = [0.0, *good, max((each.sent for each in self.served), default=0.0)]
        return max(after - before for before, after in pairwise(marks))

    def __str__(self) -> str:
        counts = ", ".join(f"{what}: {count}" for what, count in sorted(self.counts().items()))
        ms = [f"{self.latency(share) * 1e3:.0f}" for share in (0.5, 0.99, 1.0)]
        again = sum(each.tries > 1 for each in self.served)
        return f"{counts}; {again} sent again; p50 {ms[0]} ms, p99 {ms[1]} ms, slowest {ms[2]} ms"


class Traffic:
    def __init__(self, http: aiohttp.ClientSession, asks: Sequence[Ask], rate: float) -> None:
        self._http = http
        self._asks = asks
        self._rate = rate
        self._served: list[Served] = []
        self._began = time.perf_counter()

    @property
    def now(self) -> float:
        """As `Served.sent` counts."""
        return time.perf_counter() - self._began

    def tally(self) -> Tally:
        """Of what has been answered until now, in the order in which it was sent."""
        return Tally(served=tuple(sorted(self._served, key=lambda each: each.sent)))

    async def run(self, over: asyncio.Event) -> None:
        """One after another at the rate, however long answers take; waits for the last of them."""
        async with asyncio.TaskGroup() as group:
            number = 0
            while not over.is_set():
                group.create_task(self._send(self._asks[number % len(self._asks)]))
                number += 1
                due = self._began + number / self._rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def _send(self, ask: Ask) -> None:
        began, tries = time.perf_counter(), 1
        status, again = await self._once(ask)
        while again and ask.method == "GET" and tries < TRIES:
            await asyncio.sleep(PAUSE)
            status, again = await self._once(ask)
            tries += 1
        now = time.perf_counter()
        self._served.append(
            Served(ask=ask, sent=began - self._began, took=now - began, tries=tries, status=status)
        )

    async def _once(self, ask: Ask) -> tuple[str, bool]:
        """What came, and whether nothing did."""
        try:
            async with (
                asyncio.timeout(PATIENCE),
                self._http.request(
                    ask.method, ask.url, data=ask.body, headers=ask.headers
                ) as answer,
            ):
                said = await answer.read()
        except LOST as error:
            return type(error).__name__, True
        except TimeoutError:
            return "no answer in time", False
        if answer.status == 200 and ask.expect not in said:
            return f"200 of somebody else: {said[:80]!r}", False
        return str(answer.status), False


@asynccontextmanager
async def flowing(asks: Sequence[Ask], rate: float = 20.0) -> AsyncIterator[Traffic]:
    """Traffic while the block runs; the tally is whole when it has ended."""
    # each request has a connection of its own: what a Service does is what is looked at
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as http:
        http._retry_connection = False
        traffic, over = Traffic(http, asks, rate), asyncio.Event()
        task = asyncio.create_task(traffic.run(over))
        try:
            yield traffic
        finally:
            over.set()
            await task
