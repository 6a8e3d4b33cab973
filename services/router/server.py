"""The door's HTTP server: aiohttp's low-level one, made strict and quiet.

The low-level server hands over each request without an Application's routing, middleware and
signals, which halves the cost of a request, and it still gives up its socket for WebSockets.
Limits of a connection: 15 s for a request's head and between requests; a line of 8 KiB and 128
header lines; one request at a time, others wait in the socket. A client that goes away cancels
its request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_protocol import RequestHandler, _RequestHandler

from services.router import problems
from services.router.reply import Reply
from shared import line
from shared.http import KEEPALIVE

log = logging.getLogger(__name__)

LINGER: Final = 2.0  # seconds to read on after an answer that came before the end of the request


class Line(line.Line):
    """One client's connection."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem that repeats nothing of what was sent, and a log that noise can't flood."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, so it can only be cut short")
        if status == 500:
            log.error("a request failed", exc_info=exc)
            told = problems.trouble()
        else:
            told = problems.unfit(status, "This is not a valid HTTP/1.1 request.")
        return Fault(request, told)


class Fault(Reply):
    """The last answer on a connection, written when the server comes to it."""

    def __init__(self, request: web.BaseRequest, told: problems.Told) -> None:
        super().__init__(request, keep=False)
        self._told = told

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        await self.problem(self._told)
        return None


class Server(web.Server):
    """aiohttp's low-level server, with connections of our kind."""

    def __init__(self, handler: _RequestHandler) -> None:
        super().__init__(handler, handler_cancellation=True)

    def __call__(self) -> RequestHandler:
        return Line(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=KEEPALIVE,
            access_log=None,  # type: ignore[arg-type]
            auto_decompress=False,  # bodies pass as they are
            lingering_time=LINGER,
        )
