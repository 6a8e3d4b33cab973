"""A lease while it lasts: renewed in time, and known to be lost before anybody else may build."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from services.builder import claims
from services.builder.claims import Claim
from shared.database.pool import Database
from shared.errors import Transient


class Hold:
    def __init__(self, database: Database, held: Claim, seconds: float) -> None:
        self._database = database
        self._held = held
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._doubted = asyncio.Event()
        self.over = False  # the version has ended, so nobody will take it over

    def ours(self) -> bool:
        """Whether nobody else can have taken over yet."""
        return self.over or time.monotonic() < self._until

    def doubt(self) -> None:
        """Have it looked at now: somebody said that the version has ended."""
        self._doubted.set()

    async def keep(self) -> None:
        """Renews the lease; returns when it is lost."""
        while self.ours():
            await self._pause()
            asked = time.monotonic()
            # while the database is away nobody else can take over before our time is out
            with suppress(Transient):
                if not await claims.renew(self._database, self._held, self._seconds):
                    self._until = 0.0
                    self.over = await claims.is_over(self._database, self._held)
                    return
                self._until = asked + self._seconds

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds / 3):
                await self._doubted.wait()
        self._doubted.clear()
