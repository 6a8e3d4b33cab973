"""Takes versions that wait, builds them, and says how it ended.

A version is taken by a lease that is renewed while its build goes on. A builder that stops gives
its versions back; one that dies is silent, so another takes over and builds again, finding most of
it in the cache. Only whoever holds the lease writes the end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.builder import claims, outcome
from services.builder.build import workplace
from services.builder.claims import LEASE, Built, Claim, Failed
from services.builder.hold import Hold
from services.builder.logbook import Logbook, Write, clean
from services.builder.metrics import BuilderTelemetry
from services.builder.outcome import PATIENCE, Again
from shared import ids
from shared.database.pool import Database
from shared.errors import Invalid, Permanent, Transient
from shared.events import Event

log = logging.getLogger(__name__)

Make = Callable[[Claim, Path, Write], Awaitable[Built]]
"""Build a version's images in a folder of its own. Called again after a crash, with a new one."""


class Builder:
    def __init__(
        self,
        database: Database,
        make: Make,
        folder: Path,
        *,
        at_once: int = 2,
        lease: float = LEASE,
        look_every: float = 2.0,
        drain: float = 5.0,
        patience: float = PATIENCE,
        telemetry: BuilderTelemetry | None = None,
    ) -> None:
        self._database = database
        self._make = make
        self._folder = folder
        self._at_once = at_once
        self._lease = lease
        self._look_every = look_every
        self._drain = drain
        self._patience = patience
        self._telemetry = telemetry or BuilderTelemetry()
        self._wanted = asyncio.Event()
        self._in_hand: set[asyncio.Task[None]] = set()
        self._holds: dict[str, Hold] = {}  # by version

    async def on_version_submitted(self, _: Event) -> None:
        self._wanted.set()

    async def on_version_failed(self, event: Event) -> None:
        """A build of ours may be for nothing any more, such as when it was cancelled."""
        if event.subject in self._holds:
            self._holds[event.subject].doubt()

    async def loop(self, stopping: asyncio.Event) -> None:
        """Builds what waits until told to stop; then what isn't done soon is given back."""
        stopped = asyncio.create_task(stopping.wait())
        try:
            while not stopping.is_set():
                self._wanted.clear()
                try:
                    await self._take_what_waits()
                except Transient:
                    log.warning("will look again", exc_info=True)
                await self._pause(stopped)
            if self._in_hand:
                await asyncio.wait(self._in_hand, timeout=self._drain)
        finally:
            stopped.cancel()
            for task in self._in_hand:
                task.cancel()
            await asyncio.gather(*self._in_hand, return_exceptions=True)

    async def _take_what_waits(self) -> None:
        while len(self._in_hand) < self._at_once:
            held = await claims.claim(self._database, ids.new("l"), self._lease)
            if held is None:
                return
            task = asyncio.create_task(self._take(held))
            self._in_hand.add(task)
            self._telemetry.in_hand.set(len(self._in_hand))
            task.add_done_callback(self._put_down)

    def _put_down(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self._telemetry.in_hand.set(len(self._in_hand))
        self._wanted.set()

    async def _pause(self, stopped: asyncio.Task[bool]) -> None:
        wanted = asyncio.create_task(self._wanted.wait())
        try:
            await asyncio.wait(
                {wanted, stopped}, timeout=self._look_every, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            wanted.cancel()

    async def _take(self, held: Claim) -> None:
        """Build what was claimed and record how it ended, unless the lease is lost."""
        hold = Hold(self._database, held, self._lease)
        self._holds[held.id] = hold
        building = asyncio.create_task(self._build(held, hold))
        keeping = asyncio.create_task(hold.keep())
        try:
            await asyncio.wait({building, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if building.done():
                await self._record(held, building.result())
            else:
                self._lost(held, hold)
        except asyncio.CancelledError:
            await _ended(building, keeping)
            await asyncio.shield(self._give_back(held, Again(pause=0.0)))
            raise
        finally:
            await _ended(building, keeping)
            if self._holds.get(held.id) is hold:
                del self._holds[held.id]

    def _lost(self, held: Claim, hold: Hold) -> None:
        if hold.over:
            log.info("version %s was cancelled", held.id)
        else:
            self._telemetry.lost.inc()
            log.warning("lost the lease of version %s", held.id)

    async def _build(self, held: Claim, hold: Hold) -> Built | Failed | Again:
        hopeless = outcome.before(held)
        if hopeless is not None:
            return hopeless
        try:
            async with Logbook.open(self._database, held.id, ours=hold.ours) as book:
                if held.claims > 1:
                    book.write("the last try was cut short; building again")
                began, name = time.monotonic(), "again"
                try:
                    ended = await self._made(held, book.write)
                    name = type(ended).__name__.lower()
                    book.write(outcome.said(ended))
                    return ended
                except asyncio.CancelledError:
                    if hold.over:
                        name = "cancelled"
                        book.write(name)
                    raise
                finally:
                    self._telemetry.took.labels(name).observe(time.monotonic() - began)
        except Transient:
            log.warning("no log for version %s", held.id, exc_info=True)
            return Again(pause=outcome.PAUSE)

    async def _made(self, held: Claim, write: Write) -> Built | Failed | Again:
        try:
            async with workplace(self._folder, held.lease) as folder:
                return await self._make(held, folder, write)
        except (Invalid, Permanent) as error:
            return Failed(clean(str(error)))
        except Transient as error:
            log.warning("version %s met trouble", held.id, exc_info=True)
            return outcome.after_trouble(held, clean(str(error)), self._patience)
        except Exception:  # the one guarded place: an error of ours must not end the builder
            log.exception("version %s could not be built", held.id)
            return outcome.after_error(held)

    async def _record(self, held: Claim, ended: Built | Failed | Again) -> None:
        if isinstance(ended, Again):
            await self._give_back(held, ended)
            return
        try:
            if not await claims.finish(self._database, held, ended):
                log.warning("version %s was ended by somebody else", held.id)
        except Transient:
            log.warning("version %s will be built again", held.id, exc_info=True)
            await self._give_back(held, Again(pause=outcome.PAUSE))

    async def _give_back(self, held: Claim, again: Again) -> None:
        try:
            await claims.give_back(
                self._database,
                held,
                pause=again.pause,
                errors=again.errors,
                troubles=again.troubles,
                reason=again.cause,
            )
        except Transient:
            log.warning("the lease of version %s has to run out", held.id, exc_info=True)


async def _ended(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
