"""The gateway, where applications and servables are asked: what is sent to it and what comes back.

The token stays here: what a model runs is none of its business to know it.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec

from slipway.errors import BadUsage, Problem, SlipwayError, Unreachable

DEADLINE: Final = 60.0  # seconds; also the gateway's own


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever came back."""

    status: int
    kind: str  # its content type
    body: bytes
    seconds: float


class _Envelope(msgspec.Struct, frozen=True):
    error: str = ""
    information: str = ""


def address(router: str, name: str, *, servable: bool = False) -> str:
    kind = "servable" if servable else "application"
    return f"{router.rstrip('/')}/gateway/{kind}/{quote(name, safe='')}"


def encode(inputs: Any) -> bytes:
    """Inputs as JSON; what has `tolist`, as numpy's arrays have, is a list.

    Raises BadUsage for what JSON can't say.
    """
    try:
        written = json.dumps(inputs, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadUsage(f"the inputs can't be sent as JSON: {error}") from error
    return written.encode()


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"{type(value).__name__} is not a number, text, a list or a mapping")


def outputs(reply: Reply) -> Any:
    """What was answered. Raises SlipwayError with the gateway's kind of error as its title."""
    if reply.status < 300:
        try:
            return msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SlipwayError(
                Problem(
                    type="urn:slipway:problem:bad-answer",
                    title="the gateway's answer is not JSON",
                    status=reply.status,
                )
            ) from error
    raise SlipwayError(problem(reply))


def problem(reply: Reply) -> Problem:
    """What the gateway says is wrong, as it says it, or its status alone."""
    try:
        found = msgspec.json.decode(reply.body, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = _Envelope()
    kind = found.error or f"http-{reply.status}"
    return Problem(
        type=f"urn:slipway:problem:{kind}",
        title=found.error or f"the gateway answered {reply.status}",
        status=reply.status,
        detail=found.information,
    )


class Gateway:
    """Connections to it, opened when they are needed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, url: str, body: bytes, timeout: float = DEADLINE) -> Reply:
        """Send one request; nothing is sent twice."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        began = time.monotonic()
        try:
            async with self._session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=5),
                allow_redirects=False,
            ) as response:
                content = await response.read()
                return Reply(
                    status=response.status,
                    kind=response.content_type,
                    body=content,
                    seconds=round(time.monotonic() - began, 6),
                )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = str(error) or f"no answer within {timeout:g} s"
            raise Unreachable(f"no answer from {url} ({why})", "is the router up?") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
