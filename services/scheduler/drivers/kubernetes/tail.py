"""Reads the log of one copy, from life to life of its server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Final, Protocol, TypeAlias

from services.scheduler.drivers.kubernetes.errors import Missing, Rejected
from services.scheduler.drivers.kubernetes.manifests.pod import SERVER
from services.scheduler.drivers.kubernetes.objects import ContainerStatus, Pod, State
from services.scheduler.drivers.kubernetes.place import Place, normal
from shared.errors import Transient

LONGEST: Final = 8192  # bytes of a line; the rest of it is cut off
AGAIN: Final = 0.5  # seconds before a log is asked for again; doubles while that fails
SELDOM: Final = 30.0  # seconds, at most
WELL: Final = 60.0  # seconds of reading after which trouble is forgotten

Put: TypeAlias = Callable[[str, str, str], Awaitable[None]]
"""Takes source, stamp and text of a line, when there is room for it."""

log = logging.getLogger(__name__)


class Logs(Protocol):
    """What it needs of a cluster."""

    def log(
        self, pod: str, container: str, *, since: str, previous: bool, follow: bool
    ) -> AsyncGenerator[bytes]: ...


class Tail:
    """Reads the log of one copy: of the life that runs, and first of the one before it if nobody
    has. A node keeps no more than those two."""

    _sleep = staticmethod(asyncio.sleep)

    def __init__(self, logs: Logs, pod: Pod, place: Place, put: Put) -> None:
        self.uid = pod.metadata.uid
        self._name = pod.metadata.name
        self._put = put
        self._logs = logs
        self._place = place
        self._pod: Pod | None = pod
        self._news = asyncio.Event()
        self._read = -1  # the last life that was read to its end
        self._failures = 0  # in a row
        self.caught_up = asyncio.Event()
        self.task = asyncio.create_task(self._run())
        self.task.add_done_callback(_report)

    def see(self, pod: Pod | None) -> None:
        self._pod = pod
        self._news.set()

    def close(self) -> None:
        self.task.cancel()

    @property
    def behind(self) -> bool:
        """Whether something of it has ended that has not been read yet."""
        if self.task.done() or self._pod is None:
            return False
        life, running = self._life()
        late = self._read < (life - 1 if running else life)
        if late:
            self.caught_up.clear()
        return late

    async def _run(self) -> None:
        try:
            while self._pod is not None:
                self._news.clear()
                life, running = self._life()
                if self._read < life - 1:
                    await self._one(life - 1, previous=True, follow=False)
                    self._finished(life - 1)
                if running or self._read < life:
                    await self._one(life, previous=False, follow=running)
                if not running:
                    self._finished(life)
                if self._pod is not None and self._pod.over:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(AGAIN if running else None):
                        await self._news.wait()
        finally:
            self.caught_up.set()

    def _finished(self, life: int) -> None:
        self._read = max(self._read, life)
        self.caught_up.set()

    async def _one(self, life: int, *, previous: bool, follow: bool) -> None:
        """The log of one life, from where we are. What can't be read is not there."""
        clock = asyncio.get_running_loop().time
        while self._pod is not None:
            began = clock()
            try:
                await self._lines(life, previous=previous, follow=follow)
                self._failures = 0
                return
            except (Missing, Rejected) as error:
                log.debug("%s has no log: %s", self._name, error)
                if follow:
                    await self._rest()
                return
            except Transient as error:
                log.debug("will read the log of %s again: %s", self._name, error)
                if clock() - began > WELL:  # it was quiet for long, and that is no trouble
                    self._failures = 0
                await self._rest()
                if follow:  # perhaps it has ended
                    return

    async def _rest(self) -> None:
        """Else many copies on a machine that is away would use up all calls."""
        self._failures += 1
        await self._sleep(min(SELDOM, AGAIN * 2.0 ** min(self._failures - 1, 16)))

    async def _lines(self, life: int, *, previous: bool, follow: bool) -> None:
        self._place.begin()
        reading = self._logs.log(
            self._name, SERVER, since=self._place.since, previous=previous, follow=follow
        )
        source = f"{self._name}/{life}"
        async with aclosing(reading) as lines:
            async for line in lines:
                at, _, text = line.partition(b" ")
                moment = normal(at[:64].decode(errors="replace"))
                if not moment:
                    # a node tells in the log itself that it can read no further of it
                    raise Missing(line[:200].decode(errors="replace"))
                self._failures = 0
                stamp = self._place.stamp(moment)
                if stamp is not None:
                    shown = text[:LONGEST].decode(errors="replace").replace("\0", "")
                    await self._put(source, stamp, shown)

    def _life(self) -> tuple[int, bool]:
        """The number of the life of its server that there was last, and whether it runs."""
        server = (self._pod and self._pod.container(SERVER)) or ContainerStatus()
        state, last = server.state or State(), server.last_state or State()
        begun = state.running or state.terminated or last.terminated
        number = max(0, server.restart_count or 0) if begun else -1
        return number, state.running is not None


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a copy is not followed any more", exc_info=error)
