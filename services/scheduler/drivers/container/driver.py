"""Runs replicas as containers, each kept alive from within by a first process of ours (init.sh).

The engine and its labels say what exists; the replicas' folders hold what was collected of their
output and what it told. Nothing is remembered here alone, so whoever opens the same home finds the
same replicas, and containers of another platform's are never touched.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, closing, suppress
from functools import partial
from pathlib import Path
from typing import Final

from services.scheduler.driver import (
    Ended,
    Gpu,
    Observed,
    Phase,
    Refused,
    Replica,
    Started,
    Workload,
)
from services.scheduler.drivers.container import collect, spec, spool
from services.scheduler.drivers.container import life as lives
from services.scheduler.drivers.container.engine import Container, Engine, Listed
from services.scheduler.drivers.container.errors import Missing
from services.scheduler.drivers.container.follower import Follower
from services.scheduler.drivers.container.life import Life
from services.scheduler.drivers.container.maker import Maker
from services.scheduler.drivers.container.spec import Labels
from services.scheduler.drivers.container.spool import Spool
from services.scheduler.drivers.outputs import FIELD, FOLDER, together
from services.scheduler.drivers.process import graves, logbook
from services.scheduler.drivers.process.rubbish import part, throw_away
from shared.database.logs import Line
from shared.errors import Invalid, Permanent, Transient, translate

LOOK: Final = 0.25  # seconds between two looks at what others write
CHECK: Final = 0.02  # seconds between two looks at what is about to end
KILLED: Final = 15.0  # seconds after which a killed container must have ended
UP: Final = ("running", "paused", "restarting", "stopping")


class ContainerDriver:
    def __init__(self, engine: Engine, home: Path, platform: str, maker: Maker) -> None:
        self.changed = asyncio.Event()
        self._engine = engine
        self._home = home
        self._replicas = home / "containers"
        self._platform = platform
        self._maker = maker
        self._locks: dict[Replica, asyncio.Lock] = {}
        self._starting: set[Replica] = set()
        self._tasks: set[asyncio.Task[Started | Refused]] = set()
        self._followers: dict[Replica, Follower] = {}

    async def start(self, workload: Workload) -> Started | Refused:
        # once begun, a start is finished even if nobody waits for it any more
        task = asyncio.create_task(self._start_alone(workload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def stop(self, replica: Replica, grace: float) -> None:
        async with self._lock(replica):
            folder = self._folder(replica)
            await self._remove(replica, grace)
            while not await asyncio.to_thread(graves.bury, self._home, folder):
                await asyncio.to_thread(throw_away, self._home, folder)
            # who is about to start it finds the mark, or has made what is found here
            await self._remove(replica, grace)
            await self._maker.drop_network(replica)
            await asyncio.to_thread(graves.forget, self._home, self._replicas)
        self._locks.pop(replica, None)

    async def observe(self) -> Mapping[Replica, Observed]:
        listed = {}
        for each in await self._listed():
            labels = spec.read_labels(each.labels or {})
            if labels is not None:
                listed[labels.replica] = each
                await self._adopt(each, labels)
        folders = filter(None, map(spec.replica_of, os.listdir(self._replicas)))
        kept = [replica for replica in folders if not graves.ended(self._folder(replica))]
        return {replica: self._look(replica, listed.get(replica)) for replica in {*listed, *kept}}

    async def look(self, replica: Replica) -> Observed | None:
        return (await self.observe()).get(replica)

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        read = [spec.read_labels(each.labels or {}) for each in await self._listed()]
        ours = [labels for labels in read if labels is not None and labels.replica in replicas]
        return {device for labels in ours for device in labels.devices}

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        return await asyncio.to_thread(logbook.read, self._folder(replica) / "log", after)

    async def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        with part(self._home) as folder, translate({OSError: Transient}):
            raw = folder / "outputs.tar"
            found = await self._maker.found(replica)
            if found is None or not await self._take(found.id, raw, most):
                return
            pieces = together(collect.repack(raw, most))
            with closing(pieces):
                while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                    yield piece

    async def _take(self, container: str, raw: Path, most: int) -> bool:
        """Whether there was anything. What is much too much is not read to its end."""
        try:
            with raw.open("wb") as file:
                async with aclosing(self._engine.take(container, FOLDER)) as chunks:
                    async for chunk in chunks:
                        await asyncio.to_thread(file.write, chunk)
                        if file.tell() > most + collect.HEADERS:
                            raise Invalid(FIELD, f"are more than the {most} bytes that are kept")
        except Missing:
            return False
        return True

    async def inventory(self) -> Sequence[Gpu]:
        return []

    async def watch(self) -> None:
        """Notice what others write who follow replicas in our place. Ends by being cancelled."""
        before = self._written()
        while True:
            await asyncio.sleep(LOOK)
            now = self._written()
            if now != before:
                self.changed.set()
            before = now

    async def close(self) -> None:
        """Leave alone what runs."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for replica in list(self._followers):
            await self._let_go(replica)

    async def _start_alone(self, workload: Workload) -> Started | Refused:
        replica = workload.replica
        async with self._lock(replica):
            self._starting.add(replica)
            try:
                return await self._start(workload)
            except Permanent as error:
                await self._maker.undo(replica)
                return Refused(str(error))
            except Ended:
                await self._maker.undo(replica)
                raise
            finally:
                self._starting.discard(replica)

    async def _start(self, workload: Workload) -> Started:
        replica = workload.replica
        vet = partial(graves.vet, self._folder(replica), time.monotonic())
        vet()
        found = await self._maker.found(replica)
        if found is not None and found.state.over:
            await self._follow(found)  # for its last words
            if (follower := self._followers.get(replica)) is not None:
                await follower.finish()
            if workload.run is not None and self._finished(replica, found):
                return Started()
            await self._let_go(replica)
            await self._engine.remove(found.id, force=False)
            found = None
        if found is None or not found.state.running:
            found = await self._maker.make(workload, vet)
        address = found.address(workload.endpoint.port)
        if address is None and workload.run is None:
            raise Transient(f"the container of {replica} has no address yet")
        await self._follow(found)
        self.changed.set()
        return Started((address,) if address and workload.run is None else ())

    def _finished(self, replica: Replica, found: Container) -> bool:
        """Whether its run came to an end of its own. Raises Transient while that is not known."""
        life = spool.read(self._folder(replica))
        if life is None or life.container != found.id or not life.read:
            raise Transient(f"how the run of {replica} ended is not read yet")
        return life.phase is Phase.FINISHED

    async def _adopt(self, listed: Listed, labels: Labels) -> None:
        """Follow it, unless somebody is busy with it or it is followed already."""
        replica, lock = labels.replica, self._lock(labels.replica)
        follower = self._followers.get(replica)
        if lock.locked() or (follower is not None and follower.container == listed.id):
            return
        async with lock:
            with suppress(Missing):  # stopped meanwhile
                await self._follow(await self._engine.show(listed.id))

    async def _follow(self, found: Container) -> None:
        labels = spec.read_labels(found.config.labels or {})
        if labels is None or not (found.state.running or found.state.over):
            return
        folder, before = self._folder(labels.replica), self._followers.get(labels.replica)
        if before is not None and before.container == found.id:
            return
        await self._let_go(labels.replica)
        with translate({OSError: Transient}):  # no space
            ours = await asyncio.to_thread(Spool.open, folder, found.id)
        if ours is None:
            return
        life = spool.read(folder)
        if life is None or life.container != found.id:
            address = "" if labels.run else found.address(labels.port) or ""
            life = Life(container=found.id, address=address)
        self._followers[labels.replica] = Follower(
            self._engine, ours, life, labels, self.changed.set
        )

    async def _remove(self, replica: Replica, grace: float) -> None:
        for found in await self._listed(f"{spec.REPLICA}={replica}"):
            await self._end(found.id, grace)
            await self._let_go(replica, finish=True)
            await self._engine.remove(found.id, force=True)
        await self._let_go(replica)

    async def _let_go(self, replica: Replica, *, finish: bool = False) -> None:
        follower = self._followers.pop(replica, None)
        if follower is not None:
            if finish:
                await follower.finish()
            await follower.close()

    async def _end(self, container: str, grace: float) -> None:
        await self._engine.signal(container, "SIGTERM")
        if await self._gone(container, grace):
            return
        await self._engine.signal(container, "SIGKILL")
        if not await self._gone(container, KILLED):
            raise Transient(f"container {container[:12]} was killed but has not ended yet")

    async def _gone(self, container: str, within: float) -> bool:
        deadline = time.monotonic() + within
        with suppress(Missing):
            while (await self._engine.show(container)).state.running:
                if time.monotonic() >= deadline:
                    return False
                await asyncio.sleep(CHECK)
        return True

    def _look(self, replica: Replica, listed: Listed | None) -> Observed:
        follower = self._followers.get(replica)
        life = follower.life if follower is not None else spool.read(self._folder(replica))
        if life is None or (listed is not None and life.container != listed.id):
            life = Life(container="")
        running = replica in self._starting or (listed is not None and listed.state in UP)
        if listed is not None and _is_run(listed) and not life.read:
            life, running = lives.unread(life), True  # its log has the last word
        return lives.observed(life, running=running)

    def _written(self) -> dict[str, int]:
        """Another number after each report of another's, which is a file of its own."""
        ours = {str(replica) for replica in self._followers}
        found = {}
        for name in set(os.listdir(self._replicas)) - ours:
            with suppress(OSError):
                found[name] = os.stat(self._replicas / name / "life.json").st_ino
        return found

    async def _listed(self, *labels: str) -> Sequence[Listed]:
        return await self._engine.list(f"{spec.PLATFORM}={self._platform}", *labels)

    def _folder(self, replica: Replica) -> Path:
        return self._replicas / str(replica)

    def _lock(self, replica: Replica) -> asyncio.Lock:
        return self._locks.setdefault(replica, asyncio.Lock())


def _is_run(listed: Listed) -> bool:
    labels = spec.read_labels(listed.labels or {})
    return labels is not None and labels.run
