"""One scheduler acts for a target; the others stand by.

Whoever acts holds a session lock on a connection of its own: PostgreSQL gives it to the next when
the session ends, however it ended. With the lock begins a new epoch of the target, and whatever is
written for the target in an older one is refused where it is written (see epoch.py). Who loses that
connection, or learns that a newer epoch has begun, begins nothing new, finishes what is in hand and
stands by again; a late one that knows of neither does no harm.

A leader asks for the epoch again and again, as long as anything of it is in hand. PostgreSQL ends a
session in which nothing is asked for SILENCE seconds: one that stands still, or whose machine or
network is gone, holds up its target for no longer. That goes by one clock, the server's, and says
only when another may begin: what the first one writes later is refused by its epoch.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg

from services.scheduler.epoch import Deposed, Epoch
from shared.database.pool import TROUBLE
from shared.database.sqlfile import sql
from shared.run import Loop, pause

LEAD = sql(__package__, "lead")
TAKE = sql(__package__, "take_epoch")
EPOCH = sql(__package__, "epoch")

ANSWER: Final = 5.0  # seconds in which PostgreSQL must answer to count as there
SILENCE: Final = 10.0  # seconds in which a leader has to be heard of; more than a late answer takes

log = logging.getLogger(__name__)

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Leader:
    def __init__(
        self,
        url: str,
        target: str,
        *acts: Loop,
        every: float = 1.0,
        silence: float = SILENCE,
        epoch: Epoch | None = None,
    ) -> None:
        """`acts` begin whenever this process may act; they are told to stop when it may not.
        `epoch` is theirs, and has the number of the new one before they begin. PostgreSQL hears of
        this process `every` so many seconds, and after `silence` another may act."""
        self._url = url
        self._target = target
        self._acts = acts
        self._every = every
        self._silence = silence
        self._epoch = epoch or Epoch(target)
        self.acting = False

    async def loop(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                async with self._session() as (session, lost):
                    await self._stand_by(session, stopping)
                    if not stopping.is_set():
                        await self._begin(session)
                        await self._lead(session, lost, stopping)
            except _Lost as error:
                log.warning("stands by: %s", error)
            await pause(self._every, stopping)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[Session, asyncio.Event]]:
        lost = asyncio.Event()
        try:
            session = await asyncpg.connect(
                self._url,
                timeout=ANSWER,
                command_timeout=ANSWER,
                server_settings={
                    "application_name": f"slipway scheduler of {self._target}",
                    "idle_session_timeout": f"{self._silence:g}s",
                    "statement_timeout": f"{ANSWER:g}s",  # nobody may be left to cancel it
                },
            )
        except TROUBLE as error:
            raise _Lost(str(error)) from error
        session.add_termination_listener(lambda _: lost.set())
        try:
            yield session, lost
        finally:
            session.terminate()  # the lock goes with it, at once

    async def _stand_by(self, session: Session, stopping: asyncio.Event) -> None:
        """Returns when the lock is ours, or it is time to stop."""
        while not stopping.is_set():
            try:
                if await session.fetchval(LEAD, f"slipway scheduler {self._target}"):
                    return
            except TROUBLE as error:
                raise _Lost(str(error)) from error
            await pause(self._every, stopping)

    async def _begin(self, session: Session) -> None:
        """It waits for what the epoch before is writing at this moment."""
        holder = f"{socket.gethostname()} {os.getpid()}"
        try:
            self._epoch.number = await session.fetchval(TAKE, self._target, holder)
        except TROUBLE as error:
            raise _Lost(str(error)) from error

    async def _lead(self, session: Session, lost: asyncio.Event, stopping: asyncio.Event) -> None:
        log.info("acts for target %s in epoch %s", self._target, self._epoch.number)
        ending = asyncio.Event()
        self.acting = True
        try:
            async with asyncio.TaskGroup() as group:
                watch = [group.create_task(event.wait()) for event in (lost, stopping)]
                over = asyncio.Event()
                group.create_task(self._heartbeat(session, lost, over))
                async with asyncio.TaskGroup() as acting:
                    for act in self._acts:
                        acting.create_task(_until(ending, act))
                    await asyncio.wait(watch, return_when=asyncio.FIRST_COMPLETED)
                    ending.set()
                over.set()  # not before: what is in hand is finished under the lock
                for each in watch:
                    each.cancel()
        finally:
            self.acting = False
        if lost.is_set():
            raise _Lost("its lock was lost, or a newer epoch has begun")

    async def _heartbeat(self, session: Session, lost: asyncio.Event, over: asyncio.Event) -> None:
        """A connection that died in silence is noticed by asking it, and so is who stands still."""
        while not over.is_set():
            try:
                self._epoch.check(await session.fetchval(EPOCH, self._target))
            except (*TROUBLE, Deposed):
                lost.set()
                return
            await pause(self._every, over)


async def _until(ending: asyncio.Event, act: Loop) -> None:
    await act(ending)


class _Lost(Exception):
    """There is no session, so there is no lock."""
