"""The platform's inventory, and everything that happens on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from slipway.calls.base import MANY, Base
from slipway.types import Event, GpuType, Page, Target

NEWEST: Final = "newest"


class Events(Base):
    async def gpus(self) -> list[GpuType]:
        """GPU types with how many there are and how many are free."""
        return (await self._transport.get("/gpus", Page[GpuType])).items

    async def targets(self) -> list[Target]:
        """Where jobs can run; those that name no target go to the first."""
        return (await self._transport.get("/targets", Page[Target])).items

    async def events(self, *, after: str | None = None, limit: int = 1000) -> list[Event]:
        """What happened after the cursor `after`, oldest first; the last one's `cursor` is set."""
        found: list[Event] = []
        while len(found) < limit:
            page = await self._transport.get(
                "/events", Page[Event], after=after, limit=min(MANY, limit - len(found))
            )
            after = page.next
            if not page.items:
                break
            *items, last = page.items
            found += [*items, msgspec.structs.replace(last, cursor=after or "")]
        return found

    async def follow_events(self, *, after: str = "") -> AsyncGenerator[Event, None]:
        """What happens, oldest first, without end; each event's `cursor` is where to go on.

        It begins with everything that ever happened, or after the cursor `after`; `newest` is a
        cursor too: only what is yet to come.
        """
        if after == NEWEST:  # pinned, so that a reconnect goes on from here and not from later
            page = await self._transport.get("/events", Page[Event], after=NEWEST, limit=1)
            after = page.next or ""
        async with aclosing(self._transport.stream("/events", last_id=after)) as messages:
            async for message in messages:
                event = msgspec.json.decode(message.data, type=Event)
                yield msgspec.structs.replace(event, cursor=message.id)
