"""Turns what a route's function returned into an HTTP answer.

A response object of a web framework (Starlette and FastAPI, or Flask and Werkzeug) passes through
with its status, headers and body, streamed when it streams. Anything else becomes JSON.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json

HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # list of (name, value)
        self.body = body  # iterable of bytes


def json_answer(status, value):
    body = json.dumps(value, default=_plain, allow_nan=False, ensure_ascii=False).encode("utf-8")
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return Answer(status, headers, [body])


def answer(value):
    """The answer for a function's result. Raises ValueError or TypeError when it is not JSON."""
    if hasattr(value, "status_code") and hasattr(value, "headers"):
        return _passed_through(value)
    return json_answer(200, value)


def _passed_through(response):
    headers = [(k, v) for k, v in response.headers.items() if k.lower() not in HOP]
    if hasattr(response, "body_iterator"):  # Starlette, streaming
        return Answer(response.status_code, headers, _drain(response.body_iterator))
    if hasattr(response, "iter_encoded"):  # Werkzeug
        return Answer(response.status_code, headers, response.iter_encoded())
    return Answer(response.status_code, headers, [response.body])


def _drain(iterator):
    """The chunks of an asynchronous iterator, as they come."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                chunk = loop.run_until_complete(iterator.__anext__())
            except StopAsyncIteration:
                return
            yield chunk.encode("utf-8") if isinstance(chunk, str) else bytes(chunk)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _plain(value):
    """What JSON does not know, by the nearest thing that it does."""
    for method in ("tolist", "model_dump", "dict", "isoformat"):  # numpy, pydantic 2 and 1, dates
        if callable(getattr(value, method, None)):
            return getattr(value, method)()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8")
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError("a %s can't be written as JSON" % type(value).__name__)
