"""The platform's inventory, and everything that happens on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec

from slipway.calls.base import Base
from slipway.types import Event, GpuType


class Events(Base):
    async def gpus(self) -> list[GpuType]:
        """GPU types with how many there are and how many are free."""
        return await self._all("/gpus", GpuType)

    async def events(self, *, after: str | None = None, limit: int | None = None) -> list[Event]:
        """What happened after the cursor `after`, oldest first."""
        return await self._all("/events", Event, limit, start=after)

    async def follow_events(self, *, after: str = "") -> AsyncGenerator[Event, None]:
        """What happens, oldest first, without end; each event's `cursor` is where to go on."""
        async with aclosing(self._transport.stream("/events", last_id=after)) as messages:
            async for message in messages:
                event = msgspec.json.decode(message.data, type=Event)
                yield msgspec.structs.replace(event, cursor=message.id)
