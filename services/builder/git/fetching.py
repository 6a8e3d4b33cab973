"""Takes sources that wait, fetches them, and says how it ended.

A source is taken by a lease that is renewed while it is fetched. A builder that stops gives it
back; one that dies is silent, so another takes over and fetches it anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from services.builder.build import workplace
from services.builder.git import claims
from services.builder.git.claims import LEASE, Claim, Failed
from services.builder.git.fetch import Fetched, Wanted
from services.builder.logbook import clean
from shared import ids
from shared.database.pool import Database
from shared.errors import Invalid, Permanent, Transient
from shared.events import Event

log = logging.getLogger(__name__)

Fetch = Callable[[Wanted, Path], Awaitable[Fetched]]
"""Fetch one source in a folder of its own. Called again after a crash, with a new one."""

MOST_CLAIMS: Final = 5
"""Builders that may die over one source before it counts as what kills them."""
MOST_ERRORS: Final = 4
PAUSE: Final = 2.0  # seconds before trouble is tried again; doubled each time


class Fetching:
    def __init__(
        self,
        database: Database,
        fetch: Fetch,
        folder: Path,
        *,
        at_once: int = 2,
        lease: float = LEASE,
        look_every: float = 2.0,
        pause: float = PAUSE,
    ) -> None:
        self._database = database
        self._fetch = fetch
        self._folder = folder
        self._at_once = at_once
        self._lease = lease
        self._look_every = look_every
        self._pause = pause
        self._wanted = asyncio.Event()

    async def on_source_submitted(self, _: Event) -> None:
        self._wanted.set()

    async def loop(self, stopping: asyncio.Event) -> None:
        """Fetches what waits until told to stop; then what is in hand is given back."""
        async with asyncio.TaskGroup() as hands:
            for _ in range(self._at_once):
                hands.create_task(self._work(stopping))

    async def _work(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._wanted.clear()
            try:
                held = await claims.claim(self._database, ids.new("l"), self._lease)
            except Transient:
                log.warning("will look again", exc_info=True)
                held = None
            if held is None:
                await _first(stopping, self._wanted, timeout=self._look_every)
            else:
                await self._take(held, stopping)

    async def _take(self, held: Claim, stopping: asyncio.Event) -> None:
        """Fetch what was claimed and record how it ended, unless it is lost or we are to stop."""
        fetching = asyncio.create_task(self._fetched(held))
        keeping = asyncio.create_task(self._keep(held))
        told = asyncio.create_task(stopping.wait())
        tasks = (fetching, keeping, told)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if fetching.done():
                await self._record(held, fetching.result())
            elif keeping.done():
                log.warning("lost the lease of source %s", held.id)
            else:
                await self._give_back(held, 0.0)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(held, 0.0))
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, held: Claim) -> None:
        """Renews the lease; returns when it is lost."""
        clock = asyncio.get_running_loop().time
        until = clock() + self._lease
        while clock() < until:
            await asyncio.sleep(self._lease / 3)
            asked = clock()
            # while the database is away nobody else can take over before our time is out
            with suppress(Transient):
                if not await claims.renew(self._database, held, self._lease):
                    return
                until = asked + self._lease

    async def _fetched(self, held: Claim) -> Fetched | Failed | Transient:
        if held.claims > MOST_CLAIMS:
            return Failed(f"fetching it ended {MOST_CLAIMS} builders of the platform")
        try:
            async with workplace(self._folder, held.lease) as folder:
                wanted = Wanted(url=held.url, ref=held.ref, path=held.path)
                return await self._fetch(wanted, folder)
        except (Invalid, Permanent) as error:
            return Failed(clean(str(error)))
        except Transient as trouble:
            return trouble
        except Exception:  # the one guarded place: an error of ours must not end the builder
            log.exception("source %s could not be fetched", held.id)
            return Transient("the platform failed to fetch it; try again later")

    async def _record(self, held: Claim, outcome: Fetched | Failed | Transient) -> None:
        if isinstance(outcome, Transient):
            if held.errors + 1 < MOST_ERRORS:
                log.warning("source %s will be fetched again: %s", held.id, outcome)
                await self._give_back(held, self._pause * 2**held.errors, errors=1)
                return
            outcome = Failed(clean(f"{outcome}, {MOST_ERRORS} times"))
        try:
            if not await claims.finish(self._database, held, outcome):
                log.warning("source %s was ended by another builder", held.id)
        except Transient:
            log.warning("source %s will be fetched again", held.id, exc_info=True)
            await self._give_back(held, self._pause)

    async def _give_back(self, held: Claim, pause: float, *, errors: int = 0) -> None:
        try:
            await claims.give_back(self._database, held, pause=pause, errors=errors)
        except Transient:
            log.warning("the lease of source %s has to run out", held.id, exc_info=True)


async def _first(*events: asyncio.Event, timeout: float) -> None:
    """Wait for one of them, or until the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
