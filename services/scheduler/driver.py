"""The port to what runs workloads: this machine's processes, containers, or a Kubernetes cluster.

A driver starts, watches and ends replicas and keeps them alive; it knows nothing of queues, owners
or billing. Everything it is told may be told twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from services.scheduler.health import Health
from shared.address import Address
from shared.database.logs import Line
from shared.endpoint import Endpoint, Run
from shared.errors import Transient
from shared.ids import JobId


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU of a target. `device` is what a workload that holds it is told: on this machine, what
    CUDA_VISIBLE_DEVICES calls it; in a cluster, its machine and a number."""

    id: str
    type: str
    device: str
    memory: int = 0  # bytes
    node: str = ""  # the machine that it is in, where a target has several
    health: Health | None = None  # what that says of it; None: it can't, and nothing is checked


class Replica(msgspec.Struct, frozen=True, order=True):
    """Which attempt of which job: the name by which everything about it is found again."""

    job: JobId
    attempt: int

    def __str__(self) -> str:
        return f"{self.job}-{self.attempt}"


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """All that a driver needs to run one replica."""

    replica: Replica
    image: str  # manifest digest in the blob store
    endpoint: Endpoint
    environment: dict[str, str]  # on top of the image's own
    devices: tuple[str, ...]  # of the GPUs it holds; empty: it must see none
    files: dict[str, bytes]  # absolute path inside -> content, written before the start
    repository: str = ""  # `registry/name` that holds the image; "": only the blob store does
    project: str = ""  # `owner/name`, whose it is
    copies: int = 1  # how many shall run side by side; each has its share of `devices`
    run: Run | None = None  # what it does in place of the image's server: once, to its end


class Started(msgspec.Struct, frozen=True):
    """It runs, or will in a moment. `addresses` are those of its copies that are known already."""

    addresses: tuple[Address, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """It can never start: no such image, not allowed here."""

    reason: str


class Ended(Transient):
    """It was stopped, and nothing of it comes to life again: another attempt may."""


class Phase(StrEnum):
    STARTING = "starting"  # not ready yet
    READY = "ready"  # by its endpoint's `readiness`; it may be between two lives of its server
    CRASHING = "crashing"  # its server ends again and again, the driver waits before the next try
    BROKEN = "broken"  # its server said that it can never start (see Observed.reason)
    FINISHED = "finished"  # a run that has ended, with `exit_code`; nothing of it runs any more
    GONE = "gone"  # nothing of it runs and nothing will, unless it is started anew


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver sees of one replica."""

    phase: Phase
    addresses: tuple[Address, ...] = ()  # of the copies that are ready, or are about to be
    copies: int = 1  # that exist, also those that are coming or going
    wanted: int | None = None  # copies that the target was told to run; None: it decides itself
    drift: str = ""  # what somebody else changed about it, for a person; `start` puts it right
    restarts: int = 0  # how often its server was started again
    failures: int = 0  # ends with an exit code other than 0 in a row, without 10 s of life between
    exit_code: int | None = None  # of the last end; negative: the signal; None: see `reason`
    reason: str = ""  # one line for a person
    since: datetime | None = None  # of this life of its server


class Driver(Protocol):
    changed: asyncio.Event
    """Set by the driver whenever `observe` would answer differently; cleared by who looks."""

    async def start(self, workload: Workload) -> Started | Refused:
        """Make a fresh copy of the image and start it; restart the server whenever it ends.

        What has a `run` does that instead, has no address, and is never started again: how it
        ended is observed until it is stopped, whatever becomes of this process meanwhile.
        Starting what already runs makes it as told now: as many copies, and nothing that somebody
        else changed; else it changes nothing. Raises Transient if it may start later.
        Raises Ended when it was stopped a while ago: one who stood still and did not hear of that
        must not take GPUs that are another's by now. (A cluster itself gives no GPU twice; what
        comes late there is ended by the next look.)
        """

    async def stop(self, replica: Replica, grace: float) -> None:
        """SIGTERM to all of it, SIGKILL after `grace` seconds; returns when nothing of it runs.

        Also removes its files. Stopping what is gone, or never was, succeeds.
        """

    async def observe(self) -> Mapping[Replica, Observed]:
        """Every replica that exists on the target, also those started before this process was."""

    async def look(self, replica: Replica) -> Observed | None:
        """One replica as it is at this moment; None when there is nothing of it.

        `observe` may tell of a moment ago, where this asks the target itself. Raises Transient
        while the target still has to act on what it was told.
        """

    async def given(self, replicas: Collection[Replica]) -> Collection[str]:
        """The devices that any of these was started with, as long as there is anything of it.

        None of a target that itself gives no GPU twice, whatever it is told.
        """

    async def logs(
        self, replica: Replica, after: int, seen: Mapping[str, str] | None = None
    ) -> Sequence[Line]:
        """Some lines after number `after`, oldest first; empty when there are none yet.

        `seen` is the last `stamp` of each `source` among the lines up to `after`: a driver that
        keeps no lines itself goes on from there.

        Lines are numbered from 1 without gaps. Output beyond what the target keeps is dropped and
        a line on stream `platform` says how much.
        """

    def outputs(self, replica: Replica, most: int) -> AsyncGenerator[bytes, None]:
        """What a run that has FINISHED left in its folder for outputs: a tar, in pieces.

        It holds files and folders, and is the same whenever it is asked for; nothing at all when
        the folder is empty or the target keeps none. Raises Invalid when that is more than `most`
        bytes, or can't be kept for another reason of its owner's; Transient if it may be had later.
        """

    async def inventory(self) -> Sequence[Gpu]:
        """The GPUs that are usable now."""


@runtime_checkable
class Tidy(Protocol):
    """A driver that shares things between replicas, which nobody takes away with one of them."""

    async def tidy(self) -> None:
        """Let go what nobody needs any more. Only for who acts."""
