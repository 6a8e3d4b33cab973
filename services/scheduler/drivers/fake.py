"""A driver whose workloads are only remembered: keeps the contract, yields where a real one would.

Tests command it: `show` puts a replica into a phase, `say` makes it print, `crash` ends its server,
`end` ends its run, `vanish` loses it as a reboot would. It outlives the scheduler that uses it, as
a target does. It runs as many copies as it is told; with `lingers`, those that are too many stay
until `reap`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

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
from shared.address import Address
from shared.database.logs import Line
from shared.errors import Invalid, Transient

FIRST_PORT = 20_000
PAGE = 1000


class FakeDriver:
    def __init__(self, gpus: Sequence[Gpu] = (), *, becomes: Phase = Phase.READY) -> None:
        self.changed = asyncio.Event()
        self.becomes = becomes  # the phase that a started replica soon shows
        self.gpus = list(gpus)
        self.lingers = False
        self.refuses: dict[str, str] = {}  # image -> why it can never start
        self.left: dict[Replica, bytes] = {}  # what the folders for outputs hold, as a tar
        self.troubles = 0  # how many of the next starts and stops raise Transient
        self.may_start = asyncio.Event()
        self.may_stop = asyncio.Event()
        self.may_look = asyncio.Event()  # else `observe` answers later, with what it saw before
        self.may_look.set()
        self.may_start.set()
        self.may_stop.set()
        self.workloads: dict[Replica, Workload] = {}  # what exists now
        self.starts: list[Replica] = []  # every start that made a copy, in order
        self.ended: set[Replica] = set()  # which never begin again
        self.stops: list[Replica] = []  # every stop that returned, in order
        self._seen: dict[Replica, Observed] = {}
        self._lines: dict[Replica, list[Line]] = {}
        self._ports = iter(range(FIRST_PORT, 65_536))
        self._held: dict[Replica, asyncio.Lock] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[FakeDriver]:
        yield cls()

    async def start(self, workload: Workload) -> Started | Refused:
        replica = workload.replica
        async with self._lock(replica):
            await self._yield(self.may_start)
            if replica in self.ended:
                raise Ended(f"{replica} was stopped")
            if (reason := self.refuses.get(workload.image)) is not None:
                return Refused(reason)
            if replica not in self.workloads or self._seen[replica].phase is Phase.GONE:
                self._begin(workload)
                asyncio.get_running_loop().call_soon(self._settle, replica)
            elif self._seen[replica].phase is not Phase.FINISHED:
                self._adjust(workload)
            return Started(self._seen[replica].addresses)

    async def stop(self, replica: Replica, grace: float) -> None:
        async with self._lock(replica):
            await self._yield(self.may_stop)
            existed = self.workloads.pop(replica, None)
            self._seen.pop(replica, None)
            self._lines.pop(replica, None)
            self.stops.append(replica)
            self.ended.add(replica)
            if existed is not None:
                self.changed.set()

    async def observe(self) -> Mapping[Replica, Observed]:
        seen = dict(self._seen)
        await asyncio.sleep(0)
        await self.may_look.wait()
        return seen

    async def look(self, replica: Replica) -> Observed | None:
        await asyncio.sleep(0)
        return self._seen.get(replica)

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        await asyncio.sleep(0)
        there = [self.workloads[replica] for replica in replicas if replica in self.workloads]
        return {device for work in there for device in work.devices}

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        await asyncio.sleep(0)
        return self._lines.get(replica, [])[after : after + PAGE]

    async def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        await asyncio.sleep(0)
        content = self.left.get(replica, b"")
        if len(content) > most:
            raise Invalid("outputs", f"are more than the {most} bytes that are kept")
        if content:
            yield content

    async def inventory(self) -> Sequence[Gpu]:
        await asyncio.sleep(0)
        return list(self.gpus)

    def show(self, replica: Replica, phase: Phase, **changes: Any) -> None:
        """Let `observe` say `phase`, and whatever else of Observed is given."""
        self._seen[replica] = msgspec.structs.replace(self._seen[replica], phase=phase, **changes)
        self.changed.set()

    def reap(self, replica: Replica) -> None:
        """End the copies that it is not to have."""
        self.show(replica, self._seen[replica].phase, copies=self.workloads[replica].copies)

    def say(
        self,
        replica: Replica,
        *texts: str,
        stream: Literal["stdout", "stderr", "platform"] = "stdout",
    ) -> None:
        lines = self._lines[replica]
        for text in texts:
            line = Line(line=len(lines) + 1, at=datetime.now(UTC), stream=stream, text=text)
            lines.append(line)
        self.changed.set()

    def crash(self, replica: Replica, exit_code: int = 1) -> None:
        """End its server; it is started again at once, as a real driver would in a while."""
        seen = self._seen[replica]
        failed = seen.failures + 1 if exit_code else 0
        self.show(
            replica,
            Phase.CRASHING if failed > 1 else seen.phase,
            restarts=seen.restarts + 1,
            failures=failed,
            exit_code=exit_code,
        )

    def end(self, replica: Replica, exit_code: int = 0) -> None:
        """Its run has ended."""
        self.show(replica, Phase.FINISHED, exit_code=exit_code, since=None)

    def vanish(self, replica: Replica, *, trace: bool = True) -> None:
        """Its processes are gone; without a `trace` the target does not even remember it."""
        if trace:
            self.show(replica, Phase.GONE)
        else:
            self.workloads.pop(replica)
            self._seen.pop(replica)
            self.changed.set()

    async def _yield(self, gate: asyncio.Event) -> None:
        await asyncio.sleep(0)
        await gate.wait()
        if self.troubles > 0:
            self.troubles -= 1
            raise Transient("the target is away")

    def _begin(self, workload: Workload) -> None:
        replica = workload.replica
        self.workloads[replica] = workload
        self.starts.append(replica)
        self._lines[replica] = []
        self._seen[replica] = Observed(
            phase=Phase.STARTING,
            addresses=() if workload.run else self._addresses(workload.copies),
            copies=workload.copies,
            wanted=workload.copies,
            since=datetime.now(UTC),
        )
        self.changed.set()

    def _adjust(self, workload: Workload) -> None:
        replica, copies = workload.replica, workload.copies
        self.workloads[replica] = workload
        seen = self._seen[replica]
        if (seen.wanted, seen.drift) == (copies, ""):
            return
        addresses = seen.addresses[:copies]
        self.show(
            replica,
            seen.phase,
            addresses=(*addresses, *self._addresses(copies - len(addresses)))
            if workload.run is None
            else (),
            copies=max(seen.copies, copies) if self.lingers else copies,
            wanted=copies,
            drift="",
        )

    def _addresses(self, count: int) -> tuple[Address, ...]:
        return tuple(Address(f"http://127.0.0.1:{next(self._ports)}") for _ in range(count))

    def _settle(self, replica: Replica) -> None:
        seen = self._seen.get(replica)
        if seen is not None and seen.phase is Phase.STARTING:
            self.show(replica, self.becomes)

    def _lock(self, replica: Replica) -> asyncio.Lock:
        return self._held.setdefault(replica, asyncio.Lock())
