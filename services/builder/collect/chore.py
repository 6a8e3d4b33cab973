"""Work that is due now and then, and that one process of all does at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared import ids
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.errors import Transient

CHORE_BEGIN = sql(__package__, "chore_begin")
CHORE_END = sql(__package__, "chore_end")

AGAIN: Final = 60.0  # seconds until what failed is tried again


class Chore:
    """Should its holder die, it is due again `longest` seconds after it was begun."""

    def __init__(self, database: Database, name: str, *, often: float, longest: float) -> None:
        self._database = database
        self._name = name
        self._often = often
        self._longest = longest
        self._holder = ids.new("h")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Whether it is ours to do now. What takes longer than `longest` ends in Transient."""
        begun = (self._name, self._holder, self._longest)
        if await self._database.value(CHORE_BEGIN, *begun) is None:
            yield False
            return
        pause = AGAIN
        try:
            async with asyncio.timeout(self._longest):
                yield True
            pause = self._often
        except TimeoutError as error:
            raise Transient(f"{self._name} took longer than {self._longest:g} s") from error
        finally:
            await self._database.execute(CHORE_END, self._name, self._holder, pause)
