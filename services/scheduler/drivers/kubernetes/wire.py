"""Calls over the wire: who we are, how long we wait, how often we try, how much we ask at once."""

from __future__ import annotations

import asyncio
import io
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, Literal

import aiohttp
import msgspec

from services.scheduler.drivers.kubernetes.errors import (
    Away,
    Conflict,
    Denied,
    cluster_errors,
    of_answer,
)
from services.scheduler.drivers.kubernetes.login import Login
from services.scheduler.drivers.kubernetes.pace import Pace, backoff

TRIES: Final = 5
WAIT: Final = 10.0  # seconds that a server may have us wait, at most
SAID: Final = 64 << 10  # bytes of a refusal of a stream


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, bytes, and calls."""

    connect: float = 5.0
    attempt: float = 15.0
    total: float = 30.0  # a call with all its attempts, once its turn has come
    silence: float = 30.0  # of a watch: longer than one lasts
    log_silence: float = 600.0
    watch_line: int = 8 << 20
    log_line: int = 1 << 20
    in_flight: int = 32
    rate: float = 100.0  # calls in a second, ...
    burst: int = 300  # ... and after a pause at once, as kubectl does


class Call(msgspec.Struct, frozen=True, kw_only=True):
    verb: str  # as RBAC has it: get, list, watch, create, patch, delete
    kind: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str] = {}
    body: bytes | None = None
    content: str = "application/json"
    again: bool = True  # twice is as good as once
    guarded: bool = False  # a conflict is an answer


class Wire:
    def __init__(self, login: Login, limits: Limits) -> None:
        self._login = login
        self.limits = limits
        self._pace = Pace(in_flight=limits.in_flight, rate=limits.rate, burst=limits.burst)
        self._calls = _session()
        self._streams = _session()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.failed: Counter[str] = Counter()

    async def close(self) -> None:
        await self._calls.close()
        await self._streams.close()

    async def call(self, call: Call) -> bytes:
        """The body of the answer. Raises as `errors` says, after a few tries where that helps."""
        loop = asyncio.get_running_loop()
        deadline = 0.0
        for attempt in range(1, TRIES + 1):
            async with self._pace.turn():
                deadline = deadline or loop.time() + self.limits.total
                try:
                    return await self._once(call)
                except (Away, Conflict) as error:
                    self.failed[type(error).__name__] += 1
                    wait = _wait(error, attempt)
                    if not _again(call, error) or attempt == TRIES or loop.time() + wait > deadline:
                        raise
            await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def _once(self, call: Call) -> bytes:
        timeout = aiohttp.ClientTimeout(total=self.limits.attempt, sock_connect=self.limits.connect)
        with cluster_errors():
            async with await self._ask(self._calls, call, timeout) as answer:
                body = await answer.read()
        if answer.status >= 300:
            raise of_answer(answer.status, body, answer.headers.get("Retry-After", ""))
        return body

    @asynccontextmanager
    async def stream(self, call: Call, silence: float) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of an answer as they come. Raises Away after `silence` seconds of none."""
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.limits.connect, sock_read=silence
        )
        await self._pace.moment()
        with cluster_errors():
            answer = await self._ask(self._streams, call, timeout)
        try:
            if answer.status >= 300:
                with cluster_errors():
                    said = await answer.content.read(SAID)
                raise of_answer(answer.status, said, answer.headers.get("Retry-After", ""))
            yield _pieces(answer)
        finally:
            answer.close()

    async def _ask(
        self, session: aiohttp.ClientSession, call: Call, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """An answer; when we are not who we were, log in anew and ask once more."""
        times = self._login.times
        answer = await self._send(session, call, timeout)
        if answer.status != 401:
            return answer
        answer.close()
        await self._login.again(times)
        return await self._send(session, call, timeout)

    async def _send(
        self, session: aiohttp.ClientSession, call: Call, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        self.calls[call.verb, call.kind] += 1
        login = self._login
        return await session.request(
            call.method,
            login.host + call.path,
            params=call.query,
            data=io.BytesIO(call.body) if call.body else None,  # large bytes would warn
            headers=await login.headers() | {"Content-Type": call.content},
            timeout=timeout,
            ssl=login.ssl,
            server_hostname=login.server_name,
            proxy=login.proxy,
            allow_redirects=False,
        )


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    pieces = answer.content.iter_any()
    while True:
        with cluster_errors():
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
        yield piece


def _again(call: Call, error: Away | Conflict) -> bool:
    """Whether asking again may help, and can do no harm."""
    if isinstance(error, Away):
        unheard = error.status == 429  # it was turned away at the gate
        return (call.again or unheard) and not isinstance(error, Denied)
    return call.again and not call.guarded


def _wait(error: Away | Conflict, attempt: int) -> float:
    asked = error.retry_after if isinstance(error, Away) else None
    return max(min(asked or 0.0, WAIT), backoff(attempt))


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept": "application/json", "User-Agent": "slipway"},
    )


def _socket(info: aiohttp.AddrInfoType) -> socket.socket:
    """One that notices when the other side is gone, also while nothing is said."""
    family, kind, protocol, *_ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):  # not on every system
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made
