"""The machines of a simulation: the fake driver in virtual time, with a record of what really ran.

It outlives every scheduler. Each scheduler reaches it by a `Door` of its own, which may take a while,
lose the question or the answer, and be shut in its middle by a kill: then what was asked for may
happen all the same.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from itertools import cycle
from typing import Any, TypeVar

import msgspec

from services.scheduler.driver import Gpu, Observed, Phase, Refused, Replica, Started, Workload
from services.scheduler.drivers.fake import FIRST_PORT, FakeDriver
from shared.errors import Transient

T = TypeVar("T")


class Use(msgspec.Struct, kw_only=True):
    """A process that could reach a GPU, from its start to its end."""

    gpu: str
    replica: Replica
    since: float
    until: float | None = None


class Machines(FakeDriver):
    """What runs, and for how long it takes to begin and to end."""

    def __init__(
        self,
        gpus: Sequence[Gpu],
        chance: random.Random,
        *,
        ready: Sequence[float] = (0.1, 0.5, 2.0, 8.0),
        ends: Sequence[float] = (0.0, 0.1, 1.0, 3.0),
    ) -> None:
        """`ready` and `ends` are the seconds that a start and a stop may take."""
        super().__init__(gpus, becomes=Phase.STARTING)
        self._ports = cycle(range(FIRST_PORT, 65_536))
        self._chance = chance
        self._ready = ready
        self._ends = ends
        self.uses: list[Use] = []
        self._open: dict[tuple[Replica, str], Use] = {}
        self._work: set[asyncio.Task[Any]] = set()

    async def start(self, workload: Workload) -> Started | Refused:
        outcome = await super().start(workload)
        self._note()
        if self._seen[workload.replica].phase is Phase.STARTING:
            self.run_on(self._slowly(workload.replica))
        return outcome

    async def stop(self, replica: Replica, grace: float) -> None:
        if replica in self.workloads:  # as long, it runs
            await asyncio.sleep(self._chance.choice(self._ends))
        await super().stop(replica, grace)
        self._note()

    def lose(self, replica: Replica, *, trace: bool) -> None:
        """Its processes are gone, as after a reboot."""
        if replica in self.workloads:
            self.vanish(replica, trace=trace)
            self._note()

    def run_on(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Whatever becomes of who asked for it."""
        task = asyncio.ensure_future(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def close(self) -> None:
        """Nothing that was begun is left behind."""
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _slowly(self, replica: Replica) -> None:
        """Ready after a while."""
        await asyncio.sleep(self._chance.choice(self._ready))
        seen = self._seen.get(replica)
        if seen is not None and seen.phase is Phase.STARTING:
            self.show(replica, Phase.READY)

    def _note(self) -> None:
        """Keep the record of who could reach which GPU."""
        now = asyncio.get_running_loop().time()
        there = {
            (replica, device)
            for replica, work in self.workloads.items()
            if self._seen[replica].phase is not Phase.GONE
            for device in work.devices
        }
        for key in sorted(self._open.keys() - there):
            self._open.pop(key).until = now
        for replica, gpu in sorted(there - self._open.keys()):
            use = Use(gpu=gpu, replica=replica, since=now)
            self._open[replica, gpu] = use
            self.uses.append(use)


class Door:
    """The way of one scheduler to the machines: `Driver`, with all that can go wrong."""

    def __init__(self, machines: Machines, way: Way) -> None:
        self._machines = machines
        self._way = way
        self.changed = machines.changed

    async def start(self, workload: Workload) -> Started | Refused:
        return await self._ask(f"start {workload.replica}", lambda: self._machines.start(workload))

    async def stop(self, replica: Replica, grace: float) -> None:
        await self._ask(f"stop {replica}", lambda: self._machines.stop(replica, grace))

    async def observe(self) -> Mapping[Replica, Observed]:
        return await self._ask("observe", self._machines.observe)

    async def look(self, replica: Replica) -> Observed | None:
        return await self._ask(f"look {replica}", lambda: self._machines.look(replica))

    async def inventory(self) -> Sequence[Gpu]:
        return await self._ask("inventory", self._machines.inventory)

    def __getattr__(self, name: str) -> Any:
        """What a driver can beside, without trouble."""
        return getattr(self._machines, name)

    async def _ask(self, what: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._way.knock(what)
        answer = await asyncio.shield(self._machines.run_on(work()))
        await self._way.leave(what)
        return answer


class Way:
    """What happens to one scheduler's questions on their way: nothing, unless it is said."""

    async def knock(self, what: str) -> None: ...

    async def leave(self, what: str) -> None: ...


class Away(Transient):
    """The target did not answer."""
