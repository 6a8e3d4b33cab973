"""Requests to registries: with logins, redirects of content, and further attempts."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from shared.errors import Permanent
from shared.registry.attempts import persist
from shared.registry.auth import Auth, Scopes
from shared.registry.errors import Denied, Passing, failure
from shared.registry.hosts import Hosts
from shared.registry.limits import Limits
from shared.registry.reference import Reference
from shared.registry.wire import Body, Wire

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = frozenset({200})


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()


class Session:
    def __init__(self, wire: Wire, auth: Auth, hosts: Hosts) -> None:
        self.wire = wire
        self._auth = auth
        self._hosts = hosts

    @property
    def limits(self) -> Limits:
        return self.wire.limits

    def url(self, repository: Reference, path: str, **query: str) -> URL:
        """`path` is below the repository: `blobs/sha256:…`."""
        base = self._hosts.base(repository.registry)
        return base.with_path(f"/v2/{repository.repository}/{path}").with_query(query)

    async def ask(
        self,
        method: str,
        repository: Reference,
        url: URL,
        *,
        scopes: Scopes,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        fine: frozenset[int] = _OK,
        limit: int | None = None,
    ) -> Answer:
        """A small answer with one of the statuses `fine`, after several attempts if need be.

        Any other is raised as `errors.failure` says.
        """

        async def once() -> Answer:
            async with self.exchange(
                method, repository, url, scopes=scopes, headers=headers, data=data, fine=fine
            ) as response:
                body = await self.wire.read(response, limit or self.limits.error)
                return Answer(response.status, response.headers, body, response.url)

        return await persist(str(repository), self.limits, once)

    @asynccontextmanager
    async def exchange(
        self,
        method: str,
        repository: Reference,
        url: URL,
        *,
        scopes: Scopes,
        headers: Mapping[str, str] | None = None,
        data: Body = None,
        fine: frozenset[int] = _OK,
        bounded: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One attempt. A login goes to the registry itself, never to where it sends us on to.

        Not `bounded`: the caller puts an end to the wait for the answer's head.
        """
        registry = repository.registry
        home = self._hosts.base(registry).origin()
        sent = await self._auth.header(registry, scopes)
        challenged = False
        for _ in range(self.limits.redirects + 2):
            ours = url.origin() == home
            login = {"Authorization": sent} if ours and sent else {}
            async with self.wire.exchange(
                method,
                url,
                headers={**(headers or {}), **login},
                data=data,
                seconds=self.limits.request if bounded else None,
            ) as response:
                if response.status in fine:
                    yield response
                    return
                body = await self.wire.read(response, self.limits.error)
            if response.status == 401 and ours and not challenged:
                challenged = True
                challenges = response.headers.getall("WWW-Authenticate", [])
                sent = await self._auth.answer(registry, scopes, challenges, sent)
                if isinstance(data, AsyncIterable):
                    raise Passing(f"{repository}: the login ran out half way")
            elif response.status in _REDIRECTS and method in ("GET", "HEAD"):
                url = onward(repository, home, url, response.headers.get("Location", ""))
            else:
                raise failure(str(repository), response.status, response.headers, body)
        raise Permanent(f"{repository}: the registry sends us on without end")


def onward(repository: Reference, home: URL, here: URL, location: str) -> URL:
    """Where an answer at `here` sends us: the registry itself or a place that speaks TLS."""
    try:
        url = here.join(URL(location, encoded=True))
        sound = bool(location) and not url.user and not url.password
        if sound and (url.origin() == home or url.scheme == "https"):
            return url
    except ValueError:
        pass
    raise Denied(
        f"{repository}: the registry sends us on to a place that is not at an https address"
    )
