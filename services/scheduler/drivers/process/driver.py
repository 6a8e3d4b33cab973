"""Runs replicas as processes of this machine, each under a supervisor that outlives the scheduler.

Nothing is remembered here that is not in the replicas' folders, so whoever opens the same home
finds the same replicas.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from services.scheduler.driver import (
    Gpu,
    Observed,
    Phase,
    Refused,
    Replica,
    Started,
    Workload,
)
from services.scheduler.drivers.outputs import FOLDER, together
from services.scheduler.drivers.process import alive, collect, graves, logbook, moment
from services.scheduler.drivers.process.launch import Launcher
from services.scheduler.drivers.process.rubbish import part, throw_away
from services.scheduler.drivers.process.stage import Stage
from services.scheduler.drivers.process.tenant import Tenant
from shared.address import UNIX, Address
from shared.database.logs import Line
from shared.errors import Invalid, Permanent, Transient, translate
from shared.ids import JobId

LOOK: Final = 0.15  # seconds between two looks for changes
SOON: Final = 0.02  # the same, for what is starting: somebody waits for it
CHECK: Final = 0.01
LIFE: Final = "life"  # in a replica's folder: the life of the machine in which it was made
KILLED: Final = 10.0  # seconds after which a killed replica must be gone


class Status(msgspec.Struct, frozen=True):
    """`status.json`, as supervisor/keeper.py writes it."""

    phase: Phase = Phase.STARTING
    restarts: int = 0
    failures: int = 0
    exit_code: int | None = None
    reason: str = ""
    since: datetime | None = None
    once: bool = False  # it is a run, and has no address


class Told(msgspec.Struct, frozen=True):
    """What is looked at of spec.json."""

    env: Mapping[str, str]


class ProcessDriver:
    def __init__(
        self,
        home: Path,
        sockets: Path,
        stage: Stage,
        launcher: Launcher,
        tenant: Tenant | None = None,
    ) -> None:
        """With a `tenant`, other owners' replicas are refused."""
        self.changed = asyncio.Event()
        self._home = home
        self._replicas = home / "replicas"
        self._sockets = sockets
        self._stage = stage
        self._launcher = launcher
        self._tenant = tenant
        self._locks: dict[Replica, asyncio.Lock] = {}
        self._starting: set[Replica] = set()
        self._tasks: set[asyncio.Task[Started | Refused]] = set()

    async def start(self, workload: Workload) -> Started | Refused:
        # once begun, a start is finished even if nobody waits for it any more
        task = asyncio.create_task(self._start_alone(workload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def stop(self, replica: Replica, grace: float) -> None:
        async with self._lock(replica):
            folder = self._folder(replica)
            while not await asyncio.to_thread(graves.bury, self._home, folder):
                await self._end(folder, grace)
                await self._sweep(folder)
                await asyncio.to_thread(throw_away, self._home, folder)
            self._socket(replica).unlink(missing_ok=True)
            await asyncio.to_thread(graves.forget, self._home, self._replicas)
        self._locks.pop(replica, None)

    async def observe(self) -> Mapping[Replica, Observed]:
        found = {}
        for name in os.listdir(self._replicas):
            replica = named(name)
            if replica is not None and not graves.ended(self._folder(replica)):
                with suppress(FileNotFoundError):  # stopped meanwhile
                    found[replica] = self._look(replica)
        return found

    async def look(self, replica: Replica) -> Observed | None:
        return (await self.observe()).get(replica)

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        return {device for each in replicas for device in _given(self._folder(each))}

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        return await asyncio.to_thread(logbook.read, self._folder(replica) / "log", after)

    async def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        pieces = together(collect.pack(self._folder(replica), f"image{FOLDER}", most))
        with translate({OSError: Transient}), closing(pieces):
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    async def inventory(self) -> Sequence[Gpu]:
        return []

    async def watch(self) -> None:
        """Set `changed` whenever something did. Ends by being cancelled."""
        before = await self.observe()
        while True:
            await self._pause(
                [replica for replica in before if before[replica].phase is Phase.STARTING]
            )
            now = await self.observe()
            if now != before:
                self.changed.set()
            before = now

    async def _pause(self, starting: Sequence[Replica]) -> None:
        """Until the next look, which is soon when one of these has news."""
        until = time.monotonic() + LOOK
        before = [self._news(replica) for replica in starting]
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(SOON, left) if starting else left)
            if before != [self._news(replica) for replica in starting]:
                return

    async def finish(self) -> None:
        """Wait for the starts in hand."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _start_alone(self, workload: Workload) -> Started | Refused:
        replica = workload.replica
        async with self._lock(replica):
            folder, began = self._folder(replica), time.monotonic()
            graves.vet(folder, began)
            if alive.lives(folder) or self._look(replica).phase is Phase.FINISHED:
                return self._started(workload)
            self._starting.add(replica)
            try:
                with translate({OSError: Transient}):  # no space, too many files
                    if self._tenant and (why := self._tenant.refuses(workload.project)):
                        return Refused(why)
                    return await self._start(workload, folder, began)
            except (Permanent, Invalid) as error:
                return Refused(f"its image can't be used: {error}")
            finally:
                self._starting.discard(replica)

    async def _start(self, workload: Workload, folder: Path, began: float) -> Started:
        replica = workload.replica
        with part(self._home) as fresh:
            await self._stage.fill(fresh, workload, folder, str(self._socket(replica)))
            (fresh / LIFE).write_text(moment.life())
            if alive.lives(folder):  # another scheduler was quicker
                return self._started(workload)
            if (folder / "lock").exists():  # of a life that ended: its numbered lines go on
                await self._sweep(folder)
                _link_lines(folder / "log", fresh / "log")
                await asyncio.to_thread(throw_away, self._home, folder)
            graves.vet(folder, began)
            if not folder.exists():  # else it is whole, and whoever made it may be launching it
                fresh.rename(folder)
        self._sockets.mkdir(mode=0o700, exist_ok=True)  # another that closed took it away
        trouble = await asyncio.to_thread(self._launcher.launch, folder)
        graves.vet(folder, began)
        if trouble is not None:
            await self._end(folder, 0)
            raise Transient(f"replica {replica} can't be started: {trouble}")
        self.changed.set()
        return self._started(workload)

    def _started(self, workload: Workload) -> Started:
        return Started(() if workload.run else (self._address(workload.replica),))

    async def _end(self, folder: Path, grace: float) -> None:
        alive.tell(folder, signal.SIGTERM)
        if await self._gone(folder, grace):
            return
        alive.tell(folder, signal.SIGQUIT)
        if not await self._gone(folder, KILLED):
            raise Transient(f"{folder.name} was killed but has not ended yet")

    async def _sweep(self, folder: Path) -> None:
        """Its supervisor is gone; see to it that nothing else of it is left."""
        deadline = time.monotonic() + KILLED
        while await asyncio.to_thread(alive.kill_strays, folder):
            if time.monotonic() >= deadline:
                raise Transient(f"{folder.name} was killed but has not ended yet")
            await asyncio.sleep(CHECK)

    async def _gone(self, folder: Path, within: float) -> bool:
        deadline = time.monotonic() + within
        while alive.lives(folder):
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(CHECK)
        return True

    def _look(self, replica: Replica) -> Observed:
        folder = self._folder(replica)
        living = alive.lives(folder) or replica in self._starting
        try:
            status = msgspec.json.decode((folder / "status.json").read_bytes(), type=Status)
        except (FileNotFoundError, ValueError):  # not written yet, or torn by a power cut
            status = Status()
        if not living and (status.phase is not Phase.FINISHED or _of_before(folder)):
            status = msgspec.structs.replace(
                status, phase=Phase.GONE, reason="its processes are gone", since=None
            )
        return Observed(
            phase=status.phase,
            addresses=() if status.once else (self._address(replica),),
            restarts=status.restarts,
            failures=status.failures,
            exit_code=status.exit_code,
            reason=status.reason,
            since=status.since,
        )

    def _news(self, replica: Replica) -> int:
        """Another number after each report, which is a file of its own."""
        with suppress(FileNotFoundError):
            return os.stat(self._folder(replica) / "status.json").st_ino
        return 0

    def _address(self, replica: Replica) -> Address:
        return Address(f"{UNIX}{self._socket(replica)}")

    def _folder(self, replica: Replica) -> Path:
        return self._replicas / str(replica)

    def _socket(self, replica: Replica) -> Path:
        return self._sockets / f"{replica}.sock"

    def _lock(self, replica: Replica) -> asyncio.Lock:
        return self._locks.setdefault(replica, asyncio.Lock())


def _given(folder: Path) -> Sequence[str]:
    """The devices of which its supervisor was told, one of an earlier release, too."""
    try:
        told = msgspec.json.decode((folder / "spec.json").read_bytes(), type=Told)
    except (FileNotFoundError, ValueError):  # stopped, or torn by a power cut
        return ()
    return [device for device in told.env.get("CUDA_VISIBLE_DEVICES", "").split(",") if device]


def _of_before(folder: Path) -> bool:
    """Whether it is of an earlier life of the machine: then nobody knows what it had written of all
    that it left, for no one waited for the disk."""
    with suppress(FileNotFoundError):  # of an earlier release
        return (folder / LIFE).read_text() != moment.life()
    return False


def _link_lines(old: Path, new: Path) -> None:
    """Both folders have the files, so that whoever is cut short here can begin again."""
    for file in old.iterdir() if old.exists() else ():
        with suppress(FileNotFoundError):  # collected meanwhile
            os.link(file, new / file.name)


def named(folder: str) -> Replica | None:
    """The replica whose folder has this name."""
    job, _, attempt = folder.rpartition("-")
    return Replica(JobId(job), int(attempt)) if job and attempt.isdigit() else None
