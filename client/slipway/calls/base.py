"""What all calls need: the transport, the project that is meant, and lists read to their end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import msgspec

from slipway.config import Settings
from slipway.errors import BadUsage, SlipwayError, Unconfigured
from slipway.transport import Transport
from slipway.types import LogLine, Page, Project

T = TypeVar("T")
Ask = dict[str, Any]
MANY: Final = 200  # of a list, in one answer


class Base:
    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self.settings = settings
        self._transport = transport or Transport(settings)
        self._only: str | None = None

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.__aexit__()

    async def _project(self, project: str | None) -> str:
        """The project's path: the one given, else the one configured, else the only one."""
        chosen = project or self.settings.project or self._only
        if chosen is None:
            found = await self._transport.get("/projects", Page[Project], limit=2)
            if len(found.items) != 1:
                raise Unconfigured("no project was named", "set SLIPWAY_PROJECT=owner/project")
            chosen = self._only = found.items[0].path
        owner, slash, name = chosen.partition("/")
        if not slash or not owner or not name or "/" in name:
            raise BadUsage(f"{chosen!r} does not name a project", "write owner/project")
        return "/projects/" + at(owner, name)

    async def _all(
        self,
        path: str,
        kind: type[T],
        limit: int | None = None,
        start: str | None = None,
        **params: str | int | None,
    ) -> list[T]:
        """The items of every page after the cursor `start`, at most `limit`."""
        found: list[T] = []
        after = start
        while limit is None or len(found) < limit:
            size = MANY if limit is None else min(MANY, limit - len(found))
            page = await self._transport.get(path, Page[Any], after=after, limit=size, **params)
            found += [msgspec.convert(item, kind) for item in page.items]
            after = page.next
            if after is None or not page.items:
                break
        return found if limit is None else found[:limit]

    async def _follow_log(self, path: str) -> AsyncGenerator[LogLine, None]:
        """Lines as they come, oldest first, until nothing more will."""
        async with aclosing(self._transport.stream(path, follow="true")) as messages:
            async for message in messages:
                if message.event == "end":
                    return
                if message.event == "line":
                    yield msgspec.json.decode(message.data, type=LogLine)


def at(*parts: str) -> str:
    """Names as a path."""
    return "/".join(quote(part, safe="") for part in parts)


def given(**fields: Any) -> Ask:
    """What to send: the fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}


def missing(error: SlipwayError) -> bool:
    return error.status == 404
