"""One HTTP exchange with a registry, with an end to every wait. No retries, no logins here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from shared.errors import Permanent, PlatformError
from shared.registry.errors import Damaged, Denied, Passing, Silent
from shared.registry.hosts import Guarded, Hosts, Private
from shared.registry.limits import Limits

CONNECTIONS: Final = 64  # to one host
BUFFER: Final = 1 << 19
AGENT: Final = "slipway"

Body = bytes | AsyncIterable[bytes] | None


class Wire:
    def __init__(self, session: aiohttp.ClientSession, hosts: Hosts, limits: Limits) -> None:
        self._session = session
        self._hosts = hosts
        self.limits = limits

    @classmethod
    @asynccontextmanager
    async def open(cls, hosts: Hosts, limits: Limits) -> AsyncIterator[Wire]:
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=CONNECTIONS, resolver=Guarded(hosts), keepalive_timeout=15
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            # waits are bounded here, where it is known what is waited for
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=limits.request),
            auto_decompress=False,
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
            read_bufsize=BUFFER,
        ) as session:
            # it would send a stream's rest as if it were the whole
            session._retry_connection = False
            yield cls(session, hosts, limits)

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        data: Body = None,
        seconds: float | None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer's head, within `seconds`; its body is had by `read` or `some`.

        Redirects are not followed. Raises Passing for what may go better, Denied and Permanent.
        """
        self._hosts.check(url)
        with translated(url):
            async with asyncio.timeout(seconds):
                response = await self._session.request(
                    method, url, headers=headers, data=data, allow_redirects=False
                )
        try:
            yield response
        finally:
            response.close()  # a connection whose answer was read to its end is kept all the same

    async def read(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        """The whole of a small body. Raises Damaged past `limit` bytes."""
        chunks, size = [], 0
        with translated(response.url):
            async with asyncio.timeout(self.limits.request):
                async for chunk in response.content.iter_any():
                    size += len(chunk)
                    if size > limit:
                        raise Damaged(
                            f"{place(response.url)} answered more than the {limit} bytes allowed"
                        )
                    chunks.append(chunk)
        return b"".join(chunks)

    async def some(self, response: aiohttp.ClientResponse) -> bytes:
        """What has come of a large body, or b"" at its end. The caller bounds the wait."""
        with translated(response.url):
            return await response.content.readany()


class translated:
    """Turns aiohttp's errors into ours, without the words of either side."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError, ValueError)):
            raise _ours(place(self._url), error) from error


def place(url: URL) -> str:
    return url.authority.rpartition("@")[2]


def _ours(where: str, error: Exception) -> PlatformError:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case Private():
            return Denied(f"{where} has a private address, and is no registry in use here")
        case TimeoutError():
            return Silent(f"{where} did not answer in time; try again later")
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return Permanent(f"{where} has a certificate that is not valid for it")
        case aiohttp.ClientSSLError():
            return Permanent(f"{where} does not speak TLS, which all but loopback must")
        case aiohttp.ClientConnectorDNSError():
            return Passing(f"{where} is a name without an address")
        case aiohttp.InvalidURL() | ValueError():
            return Permanent(f"{where} can't be asked: the address is not valid")
        case aiohttp.ClientConnectorError():
            return Passing(
                f"{where} can't be reached: {error.os_error.strerror or 'no connection'}"
            )
        case aiohttp.ClientResponseError():
            return Passing(f"{where} answered something that is not HTTP")
    return Passing(f"{where} broke the connection off; try again later")
