"""Runs replicas as Deployments of a cluster, which keeps them alive and says how they are; and what
runs to an end, as Jobs.

The cluster has all that there is to know, and we have pictures of it; nothing is remembered here
alone. What pictures lack is not believed to be gone before the cluster has said so itself, so that
an old picture never ends anything healthy.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.scheduler.driver import Gpu, Observed, Refused, Replica, Started, Workload
from services.scheduler.drivers.kubernetes import nodes, seen, view
from services.scheduler.drivers.kubernetes.absence import Absence
from services.scheduler.drivers.kubernetes.common import Common
from services.scheduler.drivers.kubernetes.door import Cluster
from services.scheduler.drivers.kubernetes.ender import Ender
from services.scheduler.drivers.kubernetes.follower import Follower, Heap
from services.scheduler.drivers.kubernetes.live import Live
from services.scheduler.drivers.kubernetes.maker import Maker
from services.scheduler.drivers.kubernetes.pictures import Pictures
from services.scheduler.drivers.kubernetes.view import Held
from services.scheduler.drivers.kubernetes.walls import Walls
from shared.database.logs import Line
from shared.errors import Transient

SOON: Final = 10.0  # seconds that news of what we did may take


class KubernetesDriver:
    def __init__(
        self,
        cluster: Cluster,
        live: Live,
        pictures: Pictures,
        maker: Maker,
        ender: Ender,
        *,
        common: Common,
        walls: Walls,
        target: str,
        platform: str,
        changed: asyncio.Event,
    ) -> None:
        """`changed` is the one that `pictures` sets."""
        self.changed = changed
        self._cluster = cluster
        self._live = live
        self._common = common
        self._pictures = pictures
        self._maker = maker
        self._ender = ender
        self.walls = walls
        self._target = target
        self._platform = platform
        self._locks: dict[Replica, asyncio.Lock] = {}
        self._starting: set[Replica] = set()
        self._tasks: set[asyncio.Task[Started | Refused]] = set()
        self._followers: dict[Replica, Follower] = {}
        self._heap = Heap()
        self._changes = view.Changes()
        self._known: set[Replica] = set()  # told of last
        self._absence = Absence(live, platform)

    async def start(self, workload: Workload) -> Started | Refused:
        # once begun, a start is finished even if nobody waits for it any more
        task = asyncio.create_task(self._start_alone(workload))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def stop(self, replica: Replica, grace: float) -> None:
        async with self._lock(replica):
            await self._ender.end(replica, grace)
            if (follower := self._followers.get(replica)) is not None:
                follower.see(self._pictures.of(replica).pods)
                await follower.collected()
            await self._ender.forget(replica)
            await self._let_go(replica)
            self._known.discard(replica)
        self._locks.pop(replica, None)

    async def observe(self) -> Mapping[Replica, Observed]:
        held = self._pictures.held()
        found = {}
        for replica, one in held.items():
            if (look := await self._look(replica, one)) is not None:
                found[replica] = look
        for replica in self._known - found.keys():
            if (look := await self._see_gone(replica)) is not None:
                found[replica] = look
        for replica, follower in list(self._followers.items()):
            if replica in held:
                follower.see(held[replica].pods)
            elif not self._lock(replica).locked():
                await self._let_go(replica)
        self._known = set(found)
        return found

    async def look(self, replica: Replica) -> Observed | None:
        held, copies = await self._live.held(replica)
        if held.deployment is None or held.anchor is None:
            some = held.deployment or held.anchor or held.pods
            return seen.gone(held.pods, "part of it is gone") if some else None
        self._known.add(replica)  # `observe` has to tell of it, too, or why it can't
        look = seen.observed(
            held.deployment,
            held.pods,
            datetime.now(UTC),
            self._pictures.machines(),
            autoscaled=held.autoscaled,
        )
        return msgspec.structs.replace(look, copies=copies)

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        return ()  # its machines do that: what they have no GPU for waits there

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        held = self._pictures.of(replica)
        follower = self._followers.get(replica)
        if follower is None or not follower.goes_on(after):
            if not held.pods and follower is None:
                return []
            await self._let_go(replica)
            follower = self._followers[replica] = Follower(
                self._cluster, after, seen or {}, self._heap
            )
        follower.see(held.pods)
        lines = follower.take(after)
        if not lines:
            await follower.settled()
            lines = follower.take(after)
        return lines

    async def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        nothing: tuple[bytes, ...] = ()  # what a pod wrote goes with it
        for piece in nothing:
            yield piece

    async def inventory(self) -> Sequence[Gpu]:
        machines, pods = self._pictures.gpus()
        held = view.numbers(self._pictures.held().values())
        ours = self._cluster.namespace, self._platform
        return nodes.inventory(self._target, machines, pods, ours, held)

    async def tidy(self) -> None:
        """Let go what nobody needs any more. For who acts alone."""
        await self._common.sweep(self._pictures.held().values())

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
            finally:
                self._starting.discard(replica)
                self.changed.set()

    async def _start(self, workload: Workload) -> Started | Refused:
        replica = workload.replica
        before = self._pictures.of(replica)
        if replica in self._known:
            before, _ = await self._absence.completed(replica, before)
        if before.deployment is not None and before.deployment.metadata.deletion_timestamp:
            raise Transient(f"{replica} is being ended")
        refused = self.walls.objection() if before.anchor is None else None
        if refused is not None:
            return refused
        machines = self._pictures.gpus()[0] if workload.devices else ()
        refused = await self._maker.make(workload, machines, before)
        if refused is not None:
            if before.anchor is None:
                await self._ender.forget(replica)
            return refused
        self._absence.forget(replica)
        deadline = time.monotonic() + SOON
        while not self._shows(workload) and time.monotonic() < deadline:
            await self._pictures.news(deadline - time.monotonic())
        found = await self._look(replica, self._pictures.of(replica))
        return Started(found.addresses if found is not None else ())

    def _shows(self, workload: Workload) -> bool:
        """Whether our picture is of what was just told: GPUs are freed by what it shows."""
        held = self._pictures.of(workload.replica)
        if held.deployment is None:
            return False
        return held.autoscaled or held.deployment.wanted == workload.copies

    async def _look(self, replica: Replica, held: Held) -> Observed | None:
        """None of what is only about to be there."""
        busy = replica in self._starting
        if not busy:
            held, reason = await self._absence.completed(replica, held)
            if reason:
                return seen.gone(held.pods, reason)
        if held.deployment is None:
            return None
        return seen.observed(
            held.deployment,
            held.pods,
            datetime.now(UTC),
            self._pictures.machines(),
            drift="" if busy else self._changes.of(held),
            autoscaled=held.autoscaled,
        )

    async def _see_gone(self, replica: Replica) -> Observed | None:
        """Of what we knew and see no more: how it is, if it is only without its labels."""
        self._absence.forget(replica)
        if replica in self._starting:
            return None
        deployment = await self._absence.unlabelled(replica)
        if deployment is None:
            return None
        return await self._look(replica, Held(deployment=deployment))

    async def _let_go(self, replica: Replica) -> None:
        follower = self._followers.pop(replica, None)
        if follower is not None:
            await follower.close()

    def _lock(self, replica: Replica) -> asyncio.Lock:
        return self._locks.setdefault(replica, asyncio.Lock())
