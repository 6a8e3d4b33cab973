"""What one operation is: a line of the table from which routes and the document are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from aiohttp import web

from services.api.answer import Answer
from services.api.call import Call
from services.api.types import NoQuery, Role

Handler = Callable[[Call[Any, Any]], Awaitable[Answer | web.StreamResponse]]
Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """`body` None: none is read (an upload reads its own). `answer` None: there is none.

    `refusals` are those beside what every operation may answer (401, 403, 404, 405, 5xx).
    """

    method: Method
    path: str
    handler: Handler
    role: Role
    summary: str
    answer: Any = None
    body: Any = None
    may_omit_body: bool = False
    query: Any = NoQuery
    status: int = 200
    refusals: tuple[int, ...] = ()
    streams: bool = False  # also as server-sent events
    csv: bool = False  # also as CSV
    upload: bool = False
    download: bool = False  # it answers with bytes, of which a part may be asked for
    etag: bool = False
    direct: bool = False
    """It is done without looking whether it was, under its Idempotency-Key: to take it back then
    costs less than to look each time."""

    @property
    def name(self) -> str:
        return self.handler.__module__.rpartition(".")[2] + "." + self.handler.__name__

    @property
    def repeatable(self) -> bool:
        """It honours an Idempotency-Key."""
        return self.method == "POST" and not self.upload


def get(path: str, handler: Handler, summary: str, answer: Any, **more: Any) -> Operation:
    asked = {"role": "read", **more}
    return Operation(
        method="GET", path=path, handler=handler, summary=summary, answer=answer, **asked
    )


def post(path: str, handler: Handler, summary: str, answer: Any, **more: Any) -> Operation:
    asked = {"role": "write", **more}
    return Operation(
        method="POST", path=path, handler=handler, summary=summary, answer=answer, **asked
    )
