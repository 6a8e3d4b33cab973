"""The build log of one version: lines made safe, numbered, and kept in small batches.

A builder that takes over after a crash goes on with the numbers where the last one stopped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final, Literal

from shared.database import logs
from shared.database.logs import Line
from shared.database.pool import Database
from shared.errors import Transient

Stream = Literal["stdout", "stderr", "platform"]
Write = Callable[[str, Stream], None]

ATTEMPT: Final = 1
LONGEST: Final = 8192  # bytes of one line
MOST: Final = 20_000  # lines of one version, all tries together
EVERY: Final = 0.1  # seconds between two batches
BATCH: Final = 500

ESCAPES: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and cursor moves
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # titles and links
    r"|\x1b[@-Z\\-_]?"
)
CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def clean(text: str) -> str:
    """One line of text that is safe to keep and to show on a terminal; tabs stay."""
    last = text.rstrip("\r").rsplit("\r", 1)[-1]  # a progress bar as it was left
    shown = CONTROL.sub("", ESCAPES.sub("", last))
    body = shown.encode("utf-8", "replace")
    if len(body) <= LONGEST:
        return body.decode("utf-8")
    return body[:LONGEST].decode("utf-8", "ignore") + " …"


class Logbook:
    """Takes lines at once and keeps them soon after. Opened with `open`."""

    def __init__(self, database: Database, subject: str, last: int) -> None:
        self._database = database
        self._subject = subject
        self._last = last
        self._dropped = 0
        self._waiting: list[Line] = []
        self._wanted = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, database: Database, subject: str, *, ours: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[Logbook]:
        """While open, keeps lines every 100 ms as long as `ours()`; the rest when it closes."""
        book = cls(database, subject, await logs.last(database, subject, ATTEMPT))
        keeper = asyncio.create_task(book._keep(ours))
        try:
            yield book
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
            book._tell_dropped()
            if ours():
                await asyncio.shield(book._flush())

    def write(self, text: str, stream: Stream = "platform") -> None:
        if self._last >= MOST:
            self._dropped += 1
            return
        self._append(clean(text), stream)

    def _append(self, text: str, stream: Stream) -> None:
        self._last += 1
        self._waiting.append(Line(line=self._last, at=datetime.now(UTC), stream=stream, text=text))
        self._wanted.set()

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._append(f"{self._dropped} more lines were dropped", "platform")

    async def _keep(self, ours: Callable[[], bool]) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if ours():
                try:
                    await self._flush()
                except Transient:  # the lines stay in hand until the database is back
                    self._wanted.set()
            await asyncio.sleep(EVERY)

    async def _flush(self) -> None:
        while batch := self._waiting[:BATCH]:
            await logs.keep(self._database, self._subject, ATTEMPT, batch)
            del self._waiting[: len(batch)]
