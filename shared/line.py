"""One client's connection to one of our doors: aiohttp's, told of what its parser keeps to itself.

When a body breaks off in a way that is not HTTP (a chunk's size that is no number, say), aiohttp's
parser queues an error behind the request, and whoever reads the body waits until the client hangs
up. This tells the reader at once.
"""

from __future__ import annotations

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, _ErrInfo


class Line(RequestHandler):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo):
            self._spoil(self._messages[-1][0].exc)

    def _spoil(self, error: BaseException | None) -> None:
        request = self._current_request
        if request is None or request.content is EMPTY_PAYLOAD or request.content.is_eof():
            return
        if request.content.exception() is None:
            request.content.set_exception(error or BadHttpMessage("bad body"))
