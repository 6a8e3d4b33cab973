"""The one place that speaks HTTP with the platform.

Every POST carries an Idempotency-Key, so it may be sent again like the others: after 502 and 503,
after a connection that broke, and after a refused one if the platform had answered before (then
it is starting again; otherwise it is simply not there, and waiting helps nobody).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from slipway import sse
from slipway.config import Settings
from slipway.errors import Problem, SlipwayError, Unreachable

T = TypeVar("T")
Body = Callable[[], AsyncIterator[bytes]]
"""Opens what is to be sent; called again for every try."""

TRIES: Final = 6
AGAIN: Final = (502, 503)
LONGEST: Final = 5.0  # seconds between two tries
ANSWER: Final = 60.0  # seconds of silence before a connection counts as broken
BROKEN: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)

Parameters = Mapping[str, str | int | None]


class Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


class _Again(Exception):
    """This try failed in a way that the next may not."""

    def __init__(self, error: SlipwayError, after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.after = after


class Transport:
    """Opened with `async with`. Raises SlipwayError for every answer that is not a success."""

    def __init__(self, settings: Settings, *, tries: int = TRIES, pause: float = 0.1) -> None:
        self._settings = settings
        self._tries = tries
        self._pause = pause
        self._met = False  # the platform has answered
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Transport:
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {self._settings.token}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=ANSWER),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, path: str, kind: type[T], **params: str | int | None) -> T:
        return _read(await self._call("GET", path, params=params), kind)

    async def text(self, path: str, accept: str, **params: str | int | None) -> str:
        """What is answered as `accept`, a media type of text."""
        answer = await self._call("GET", path, params=params, accept=accept)
        return answer.body.decode()

    async def post(self, path: str, kind: type[T], ask: Any = None) -> T:
        return _read(await self._call("POST", path, json=ask), kind)

    async def put(self, path: str, kind: type[T], ask: Any) -> T:
        return _read(await self._call("PUT", path, json=ask), kind)

    async def delete(self, path: str) -> None:
        await self._call("DELETE", path)

    async def upload(self, path: str, kind: type[T], body: Body) -> T:
        """POST a stream."""
        return _read(await self._call("POST", path, body=body), kind)

    async def download(self, path: str, into: Path) -> int:
        """Write what is there into a file; its size. A connection that breaks is taken up where it
        was, unless it is something else by then."""
        with into.open("wb") as file:
            tag = ""
            for tried in range(1, self._tries + 1):
                headers = {"Range": f"bytes={file.tell()}-", "If-Range": tag} if tag else {}
                try:
                    async with self._open("GET", path, params={}, headers=headers) as response:
                        await self._check(response)
                        if response.status != 206:
                            file.truncate(file.seek(0))
                        tag = response.headers.get("ETag", "")
                        async for chunk in response.content.iter_any():
                            await asyncio.to_thread(file.write, chunk)
                        return file.tell()
                except _Again as again:
                    if tried == self._tries:
                        raise again.error from again
                    await asyncio.sleep(self._backoff(tried, again.after))
        raise AssertionError("tries is at least 1")

    async def exists(self, path: str) -> bool:
        try:
            await self._call("HEAD", path)
        except SlipwayError as error:
            if error.status == 404:
                return False
            raise
        return True

    async def stream(
        self, path: str, *, last_id: str = "", **params: str | int | None
    ) -> AsyncGenerator[sse.Message, None]:
        """Server-sent events, without end: a connection that breaks is taken up where it was.

        Whoever reads leaves when it has seen enough.
        """
        tries, parser = 0, sse.Parser(last_id)
        while True:
            headers = {"Accept": "text/event-stream"}
            if parser.last_id:
                headers["Last-Event-ID"] = parser.last_id
            try:
                async with self._open("GET", path, params=params, headers=headers) as response:
                    await self._check(response)
                    tries = 0
                    async for chunk in response.content.iter_any():
                        for message in parser.feed(chunk):
                            yield message
                pause = 10 * self._pause  # it ended in peace, but nobody said that it was over
            except _Again as again:
                if tries >= self._tries:
                    raise again.error from again
                pause = again.after or 0.0
            parser = sse.Parser(parser.last_id)
            tries += 1
            await asyncio.sleep(self._backoff(tries, pause))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        json: Any = None,
        body: Body | None = None,
        accept: str = "",
    ) -> Answer:
        headers = {"Idempotency-Key": secrets.token_hex(16)} if method == "POST" else {}
        if accept:
            headers["Accept"] = accept
        if json is not None:
            headers["Content-Type"] = "application/json"
        elif body is not None:
            headers["Content-Type"] = "application/octet-stream"
        for tried in range(1, self._tries + 1):
            data = body() if body is not None else None if json is None else _encode(json)
            try:
                async with self._open(
                    method, path, params=params or {}, headers=headers, data=data
                ) as response:
                    await self._check(response)
                    return Answer(response.status, await response.read())
            except _Again as again:
                if tried == self._tries:
                    raise again.error from again
                await asyncio.sleep(self._backoff(tried, again.after))
        raise AssertionError("tries is at least 1")

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        *,
        params: Parameters,
        headers: Mapping[str, str],
        data: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One try. What breaks on the way is raised as _Again, or as Unreachable at once."""
        if self._session is None:
            raise RuntimeError("use the client inside `async with`")
        given = {name: str(value) for name, value in params.items() if value is not None}
        try:
            async with self._session.request(
                method,
                f"{self._settings.url}/v1{path}",
                params=given,
                headers=headers,
                data=data,
                allow_redirects=False,
            ) as response:
                self._met = True
                yield response
        except aiohttp.ClientConnectorError as error:
            trouble = self._unreachable(error.strerror or "no connection")
            if self._met:
                raise _Again(trouble) from error
            raise trouble from error
        except BROKEN as error:
            trouble = self._unreachable(str(error) or "no answer in time")
            raise _Again(trouble) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error

    async def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status < 300:
            return
        problem = _problem(response.status, response.reason or "", await response.read())
        error = SlipwayError(problem, _hint(problem))
        if response.status in AGAIN:
            raise _Again(error, _seconds(response.headers.get("Retry-After", "")))
        raise error

    def _backoff(self, tried: int, asked: float | None) -> float:
        """Doubling, with chance in it so that many clients do not come back at once."""
        grown = self._pause * 2 ** (tried - 1) * random.uniform(0.5, 1.5)
        return float(min(max(grown, asked or 0.0), LONGEST))

    def _unreachable(self, why: str) -> Unreachable:
        return Unreachable(
            f"cannot reach the platform at {self._settings.url} ({why})",
            "is it running? `make up` starts one; SLIPWAY_URL says where to look",
        )


def _encode(ask: Any) -> bytes:
    return msgspec.json.encode(ask)


def _read(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError as error:
        made = Problem(
            type="urn:slipway:problem:bad-answer",
            title="the platform's answer makes no sense here",
            status=answer.status,
            detail=str(error),
        )
        raise SlipwayError(made, "is SLIPWAY_URL the API, and not another server?") from error


def _problem(status: int, reason: str, body: bytes) -> Problem:
    """What was answered, or a problem made from the status when it is not one."""
    try:
        found = msgspec.json.decode(body, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = Problem()
    if found.title:
        return msgspec.structs.replace(found, status=status)
    return Problem(type=f"urn:slipway:problem:http-{status}", title=reason, status=status)


def _hint(problem: Problem) -> str:
    match problem.status:
        case 401:
            return "check SLIPWAY_TOKEN; `slipway token create` makes a new one"
        case 403:
            return "this token may not do that; `slipway whoami` says what it may"
        case _:
            return ""


def _seconds(header: str) -> float | None:
    return float(header) if header.isascii() and header.isdigit() else None
