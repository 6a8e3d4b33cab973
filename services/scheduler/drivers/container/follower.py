"""Follows one container: keeps what it prints, and says what state its replica is in.

It reads the engine's log from where an earlier follower left off; what that says is all that it
needs to know, so it may begin late, again, or in another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final

import msgspec

from services.scheduler.driver import Phase
from services.scheduler.drivers.container import life as lives
from services.scheduler.drivers.container.cursor import Gate, moment
from services.scheduler.drivers.container.engine import Engine, Frame
from services.scheduler.drivers.container.life import Life
from services.scheduler.drivers.container.ready import Look
from services.scheduler.drivers.container.sieve import Report, Sieve
from services.scheduler.drivers.container.spec import Labels
from services.scheduler.drivers.container.spool import LOST, Spool
from services.scheduler.drivers.process.supervisor.keeper import BETWEEN
from shared.errors import Permanent, Transient

log = logging.getLogger(__name__)

AGAIN: Final = 0.5  # seconds after which a log that has ended before its container is read on
BUNCH: Final = 64  # frames after which others have their turn
SETTLE: Final = 1.0


class Follower:
    def __init__(
        self,
        engine: Engine,
        spool: Spool,
        life: Life,
        labels: Labels,
        changed: Callable[[], None],
    ) -> None:
        self.life = life
        self._engine = engine
        self._spool = spool
        self._labels = labels
        self._changed = changed
        self._look = Look(engine, life.container, labels.mark, labels.port, labels.readiness)
        self._gate = Gate(spool.resume(life))
        self._sieves = {name: Sieve(labels.mark.encode()) for name in ("stdout", "stderr")}
        self._watching: asyncio.Task[None] | None = None
        self._following = asyncio.create_task(self._follow())
        self._following.add_done_callback(_report)
        self._settling = asyncio.create_task(self._settle())
        spool.lines.complaint = life.complaint
        spool.write(life)
        if life.lives and life.phase is not Phase.READY:
            self._watch()

    @property
    def container(self) -> str:
        return self.life.container

    @property
    def ended(self) -> bool:
        """Its container runs no more, and all that it printed is kept."""
        return self._following.done()

    async def finish(self) -> None:
        """Its container has ended: keep what is left of its log, without waiting for more."""
        await self._cancel(self._following)
        with suppress(Transient, Permanent):
            await self._read(follow=False)
            self._close_log()

    async def close(self) -> None:
        """Let somebody else follow it."""
        await self._cancel(self._following, self._watching, self._settling)
        self._spool.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._read(follow=True)
                if not (await self._engine.show(self.container)).state.running:
                    await self._read(follow=False)
                    break
            except Permanent:  # it was removed
                break
            except Transient as error:
                log.debug("will follow %s again: %s", self.container, error)
            await asyncio.sleep(AGAIN)
        self._close_log()
        self._changed()

    def _close_log(self) -> None:
        for stream in self._sieves:
            self._spool.lines.end_line(stream)
        self._tell(msgspec.structs.replace(self.life, read=True))

    async def _read(self, *, follow: bool) -> None:
        self._gate = Gate(self._gate.cursor)
        since = self._gate.cursor.since
        reading = self._engine.log(self.container, since=since, follow=follow)
        async with aclosing(reading) as frames:
            await self._take_all(frames)

    async def _take_all(self, frames: AsyncIterator[Frame]) -> None:
        count = 0
        async for frame in frames:
            if self._gate.new(frame.at):
                if self._gate.torn:
                    self._gate.torn = False
                    self._spool.lines.say(LOST)
                self._take(frame)
            count += 1
            if count % BUNCH == 0:
                await asyncio.sleep(0)

    def _take(self, frame: Frame) -> None:
        at, lines = moment(frame.at), self._spool.lines
        lines.come_to(at, self._gate.cursor)
        for piece in self._sieves[frame.stream].feed(frame.body):
            if isinstance(piece, Report):
                lines.end_line(frame.stream)
                if piece.words:
                    self._heard(piece.words, at)
            else:
                lines.feed(frame.stream, piece)

    def _heard(self, words: list[str], at: datetime) -> None:
        lines = self._spool.lines
        before = msgspec.structs.replace(self.life, complaint=lines.complaint)
        told = lives.told(before, words, at)
        if told.line:
            lines.say(told.line)
        self._tell(told.life)
        if self.life.lives:
            self._watch()
        elif self._watching is not None:
            self._watching.cancel()

    def _tell(self, life: Life) -> None:
        seen = self.life.seen if self._spool.lines.pending else str(self._gate.cursor)
        life = msgspec.structs.replace(life, seen=seen)
        if life != self.life:
            self.life = life
            self._spool.write(life)
            self._changed()

    def _watch(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(self._see_ready())

    async def _see_ready(self) -> None:
        ready = asyncio.create_task(self._ready())
        try:
            done, _ = await asyncio.wait([ready], timeout=BETWEEN)
            if not done and self.life.phase is Phase.READY:
                self._tell(lives.late(self.life))
            await ready
            self._tell(lives.ready(self.life))
        finally:
            ready.cancel()

    async def _ready(self) -> None:
        while True:
            try:
                found = await self._engine.show(self.container)
                await self._look.ready(self.life.address, found.state.pid)
                return
            except (Transient, Permanent) as error:
                log.debug("will look at %s again: %s", self.container, error)
            await asyncio.sleep(AGAIN)

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE)
            self._spool.lines.settle()

    async def _cancel(self, *tasks: asyncio.Task[None] | None) -> None:
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _report(following: asyncio.Task[None]) -> None:
    if not following.cancelled() and (error := following.exception()) is not None:
        log.error("a container is not followed any more", exc_info=error)
