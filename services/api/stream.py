"""Server-sent events: bounded in memory and number, ended when the token is, or when we stop.

Nothing is fetched while what was fetched before is not yet written, so a slow reader costs no
memory; one that reads nothing for a minute is dropped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import msgspec
from aiohttp import web

from services.api import refused, token
from services.api.call import Call
from services.api.refused import Refused
from shared.errors import Transient
from shared.run import pause

CHECK: Final = 2.0  # seconds between two looks at the token
STALLED: Final = 60.0  # seconds without a byte taken before a reader is dropped
QUIET: Final = 15.0  # seconds of silence before a comment shows that the stream lives
FASTEST: Final = 0.25  # seconds between two looks at the table ...
SLOWEST: Final = 1.0  # ... also when nothing happens for long
BATCH: Final = 200  # rows in memory at a time
_LINES: Final = re.compile(r"\r\n|\r|\n")  # what ends a line of an event


class Ended(Exception):
    """The stream is over, whoever ended it."""


def wanted(request: web.Request, follow: bool) -> bool:
    """Whether a stream is asked for, by `?follow=true` or by the Accept header."""
    return follow or "text/event-stream" in request.headers.get("Accept", "")


def _presented(call: Call[Any, Any]) -> str:
    """What was checked before it came here, in whatever way it was sent."""
    return token.presented(call.request.headers.get("Authorization"), passwords=True)


class Stream:
    def __init__(self, call: Call[Any, Any], response: web.StreamResponse) -> None:
        self._call = call
        self.response = response
        self._secret = _presented(call)
        self._wait = FASTEST
        self._wrote = self._checked = self._now()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def send(self, number: str, name: str, value: Any) -> None:
        """One event; `value` is sent as JSON."""
        await self.tell(number, name, msgspec.json.encode(value).decode())

    async def tell(self, number: str, name: str, text: str) -> None:
        """One event whose data is text."""
        head = f"id: {number}\n" if number else ""
        lines = "".join(f"data: {line}\n" for line in _LINES.split(text))
        await self._write(f"{head}event: {name}\n{lines}\n".encode())
        self._wait = FASTEST

    async def rest(self) -> None:
        """Wait for the next look at the table. Raises Ended when there should be none."""
        await pause(self._wait, self._call.context.stopping)
        self._wait = min(self._wait * 1.25, SLOWEST)
        await self._check()
        if self._now() - self._wrote > QUIET:
            await self._write(b": still here\n\n")

    async def _check(self) -> None:
        transport = self._call.request.transport
        if self._call.context.stopping.is_set() or transport is None or transport.is_closing():
            raise Ended
        if self._now() - self._checked > CHECK:
            try:
                await self._call.context.tokens.identify(self._secret)
            except Refused:
                raise Ended from None
            except Transient:
                return
            self._checked = self._now()

    async def _write(self, content: bytes) -> None:
        writing = asyncio.ensure_future(self.response.write(content))
        began = self._now()
        try:
            while not (await asyncio.wait({writing}, timeout=CHECK))[0]:
                await self._check()
                if self._now() - began > STALLED:
                    raise Ended
            writing.result()
        except (Ended, asyncio.CancelledError):
            writing.cancel()
            self._drop()
            raise
        except ConnectionError:
            raise Ended from None
        self._wrote = self._now()

    def _drop(self) -> None:
        """Its reader takes nothing, so there is no polite way."""
        transport = self._call.request.transport
        if transport is not None:
            transport.abort()


@asynccontextmanager
async def opened(call: Call[Any, Any]) -> AsyncIterator[Stream]:
    """A stream whose block may be left by Ended. Refuses when there are too many."""
    context = call.context
    if context.streaming >= context.streams:
        raise refused.busy("too many streams are open", 5)
    context.streaming += 1
    try:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        response.force_close()
        await response.prepare(call.request)
        with suppress(Ended):
            yield Stream(call, response)
    finally:
        context.streaming -= 1
