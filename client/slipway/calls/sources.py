"""Code in git repositories, which the platform fetches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from slipway.calls.base import Base, at, given
from slipway.errors import Failed, Slow
from slipway.types import Source

LONGEST: Final = 1.0  # seconds between two looks

SourceWatcher = Callable[[Source], None]
"""Told of a source when it has been asked for, and when it has ended."""


class Sources(Base):
    async def create_source(
        self,
        url: str,
        *,
        ref: str | None = None,
        path: str | None = None,
        project: str | None = None,
    ) -> Source:
        """Have the platform fetch one commit of a public repository; it is not there yet.

        `ref`: a branch, a tag, `refs/…` or a whole commit id. `path`: a folder of the repository.
        """
        ask = given(url=url, ref=ref, path=path)
        return await self._transport.post(f"{await self._project(project)}/sources", Source, ask)

    async def source(self, source: str, *, project: str | None = None) -> Source:
        return await self._transport.get(
            f"{await self._project(project)}/sources/{at(source)}", Source
        )

    async def sources(
        self, *, limit: int | None = None, project: str | None = None
    ) -> list[Source]:
        """Newest first."""
        return await self._all(f"{await self._project(project)}/sources", Source, limit)

    async def fetch(
        self,
        url: str,
        *,
        ref: str | None = None,
        path: str | None = None,
        project: str | None = None,
        timeout: float | None = None,
        watch: SourceWatcher = lambda source: None,
    ) -> Source:
        """The same, and wait until it is there: its `digest` may be used like that of an upload.

        Raises Failed when it can't be fetched, Slow after `timeout` seconds.
        """
        found = await self.create_source(url, ref=ref, path=path, project=project)
        watch(found)
        try:
            async with asyncio.timeout(timeout):
                found = await self._fetched(found)
        except TimeoutError as error:
            raise Slow(f"{found.url} was not fetched within {timeout:g} s") from error
        watch(found)
        if found.state == "failed":
            raise Failed(f"{found.url} can't be fetched: {found.reason}")
        return found

    async def _fetched(self, source: Source) -> Source:
        pause, project = 0.05, f"{source.owner}/{source.project}"
        while source.state == "fetching":
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST)
            source = await self.source(source.id, project=project)
        return source
