"""One client's connection, made strict and quiet: what is not HTTP gets a problem of ours.

aiohttp's own answers repeat bytes of the request, and its log prints a traceback for each; a body
whose framing breaks half way leaves its reader waiting. None of that happens here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web

import shared.line
from services.api.guard import answer, told
from shared.http import KEEPALIVE
from shared.problems import problem

log = logging.getLogger(__name__)

CONNECTIONS: Final = 2000  # at a time; more are closed as they come
LINGER: Final = 2.0  # seconds to read on after an answer that came before the end of the request
TITLES: Final = {400: "This is not a valid HTTP/1.1 request", 431: "The head is too large"}


class Line(shared.line.Line):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert self._manager is not None
        full = len(self._manager.connections) >= CONNECTIONS
        super().connection_made(transport)
        if full:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun, so it can only be cut short")
        if status == 500:
            log.error("a request failed", exc_info=exc)
        name, title = ("internal", "This is our fault") if status >= 500 else ("bad-request", "")
        made = answer(problem(name, status, title or TITLES.get(status, TITLES[400])), {})
        made.force_close()
        return made

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Also what never came to a handler, such as an unknown Expect."""
        if isinstance(resp, web.HTTPException):
            expected = told(resp)
            assert expected is not None
            resp = answer(*expected)
            resp.force_close()
        return await super().finish_response(request, resp, start_time)


def line(server: web.Server) -> asyncio.Protocol:
    return Line(
        server,
        loop=asyncio.get_running_loop(),
        keepalive_timeout=KEEPALIVE,
        access_log=None,  # type: ignore[arg-type]
        auto_decompress=False,  # an encoded body is refused
        lingering_time=LINGER,
    )
