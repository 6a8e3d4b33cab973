"""One connection to an endpoint, for one request: a strict HTTP/1.1 client that trusts nothing.

A connection is never used twice, so whatever an endpoint writes beyond its answer reaches nobody;
nothing is sent twice unless the caller says so; and an answer that could be read in two ways is
refused, not repaired.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from services.router.headers import lines
from services.router.vet import CHUNKED, Header, bad_line, content_length, values
from shared.address import Address
from shared.dial import Failed, Trouble, dial

CHUNK: Final = 1 << 16
LINES: Final = 200  # header lines of an answer
HEAD: Final = 1 << 16  # bytes of them all
INTERIM: Final = 20  # answers 1xx before the real one

_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t \x21-\x7e\x80-\xff]*))?\r\n")
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t \x21-\x7e\x80-\xff]*)?\r\n")


class Head(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    reason: bytes
    headers: Sequence[Header]
    length: int | None  # of the body; CHUNKED; None: it ends with the connection


def bad(detail: str) -> Failed:
    return Failed(Trouble.BAD, detail)


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(
        cls, address: Address, seconds: float, secrets: Sequence[str] = ()
    ) -> Connection:
        """Raises Failed, as dial does."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(CHUNK, loop)
        transport, protocol = await dial(
            lambda: asyncio.StreamReaderProtocol(reader, loop=loop), address, seconds, secrets
        )
        return cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    def close(self) -> None:
        """At once; the endpoint sees it now, whatever was under way."""
        self.writer.transport.abort()

    def send_head(self, method: bytes, target: bytes, headers: Sequence[Header]) -> None:
        self.writer.write(lines(b"%s %s HTTP/1.1" % (method, target), headers))

    async def send(self, chunk: bytes, *, chunked: bool) -> None:
        """A piece of the body, or with b"" its end. Raises OSError when it is not wanted."""
        if chunked:
            self.writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        else:
            self.writer.write(chunk)
        await self.writer.drain()

    async def head(self, method: bytes) -> Head:
        """The head of the answer; interim answers are swallowed."""
        for _ in range(INTERIM):
            status, reason, minor = self._status_line(await self._line(first=True))
            headers = await self._headers()
            if status >= 200 or status == 101:
                length = _length(method, status, minor, headers)
                return Head(status=status, reason=reason, headers=headers, length=length)
        raise bad("It sent too many interim answers.")

    def _status_line(self, line: bytes) -> tuple[int, bytes, int]:
        match = _STATUS.fullmatch(line)
        if match is None:
            raise bad("Its status line is not valid.")
        return int(match[2]), (match[3] or b"").strip(), int(match[1])

    async def _headers(self) -> list[Header]:
        headers: list[Header] = []
        size = 0
        while (line := await self._line()) != b"\r\n":
            size += len(line)
            name, colon, value = line[:-2].partition(b":")
            if not colon or bad_line(name, value):
                raise bad("One of its header lines is not valid.")
            headers.append((name, value.strip(b" \t")))
            if len(headers) > LINES or size > HEAD:
                raise bad("It sent too many headers.")
        return headers

    async def _line(self, *, first: bool = False) -> bytes:
        try:
            line = await self.reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if first and not error.partial:
                raise Failed(Trouble.DROPPED, "It closed the connection without an answer.") from (
                    error
                )
            raise bad("It closed the connection in the middle of its answer.") from error
        except asyncio.LimitOverrunError as error:
            raise bad("One of its lines is too long.") from error
        except OSError as error:
            trouble = Trouble.DROPPED if first else Trouble.BAD
            raise Failed(trouble, "It dropped the connection.") from error
        if not line.endswith(b"\r\n"):
            raise bad("One of its lines ends without CR.")
        return line

    async def body(self, head: Head, silence: float) -> AsyncIterator[bytes]:
        """The body as it comes. Raises Failed when it is cut short or `silence` seconds pass."""
        try:
            if head.length == CHUNKED:
                async for chunk in self._chunks(silence):
                    yield chunk
            elif head.length is None:
                while chunk := await self._some(CHUNK, silence):
                    yield chunk
            else:
                async for chunk in self._exactly(head.length, silence):
                    yield chunk
        except OSError as error:
            raise bad("It dropped the connection in the middle of its answer.") from error

    async def _chunks(self, silence: float) -> AsyncIterator[bytes]:
        while True:
            async with Patience(silence):
                line = await self._line()
            match = _SIZE.fullmatch(line)
            if match is None:
                raise bad("The size of a chunk is not valid.")
            size = int(match[1], 16)
            if not size:
                break
            async for chunk in self._exactly(size, silence):
                yield chunk
            async with Patience(silence):
                if await self._line() != b"\r\n":
                    raise bad("A chunk is longer than it said.")
        async with Patience(silence):
            await self._headers()  # trailers, which are dropped

    async def _exactly(self, size: int, silence: float) -> AsyncIterator[bytes]:
        while size:
            chunk = await self._some(min(size, CHUNK), silence)
            if not chunk:
                raise bad("It closed the connection in the middle of its answer.")
            size -= len(chunk)
            yield chunk

    async def _some(self, size: int, silence: float) -> bytes:
        async with Patience(silence):
            return await self.reader.read(size)


class Patience:
    """asyncio.timeout, whose end is the endpoint's silence."""

    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *details: object) -> None:
        try:
            await self._timeout.__aexit__(*details)  # type: ignore[arg-type]
        except TimeoutError as error:
            raise Failed(Trouble.SILENT, "It fell silent.") from error


def _length(method: bytes, status: int, minor: int, headers: Sequence[Header]) -> int | None:
    lengths = values(headers, b"content-length")
    codings = values(headers, b"transfer-encoding")
    length = content_length(lengths)
    if (lengths and codings) or (lengths and length is None):
        raise bad("It says the length of its answer in two ways.")
    if codings and (minor == 0 or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise bad("Its transfer coding is not understood.")
    if method == b"HEAD" or status in (101, 204, 304):
        return 0
    return CHUNKED if codings else length
