"""What the queue's decision is made of: who waits, which GPUs there are, who holds them, and what
each owner may have. Times are seconds from the moment of the picture. Pure.

The garbage collector is not to look at them (`gc=False`): there are thousands, and none refers to
itself.
"""

from __future__ import annotations

from math import inf

import msgspec

from shared.ids import JobId
from shared.waits import Waits


class Waiting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that waits to start, or for more copies."""

    job: JobId
    attempt: int
    owner: str = ""
    priority: int = 0  # a higher class comes first
    count: int = 0  # of GPUs for each copy
    types: tuple[str, ...] = ()  # in order of preference; empty: any
    max_price: float | None = None  # per GPU and hour
    copies: int = 1  # that it wants
    granted: int = 0  # of these, that it may run already; 0: it is in the queue
    held: int = 0  # copies whose GPUs it holds: more than may run, until those it gave up are gone
    gang: bool = False  # all its copies start at once, or none
    preemptible: bool = False
    run_at_most: float | None = None  # seconds from its place to its end
    reason: str = ""  # what is written down now
    waits: Waits = Waits()  # ... and in parts
    age: float = 0.0  # since it asked; of one who is asked for more copies, since then
    seq: int = 0  # of two that asked at the same moment, the lower comes first

    @property
    def missing(self) -> int:
        return self.copies - self.granted


class Slot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A GPU that may be given, or is."""

    gpu: str
    type: str
    node: str = ""
    price: float = 0.0  # per hour
    job: JobId | None = None  # who holds it
    device: str = ""  # what its driver calls it
    unproven: bool = False  # nobody does any more; it may be given as soon as that is proven

    @property
    def free(self) -> bool:
        return self.job is None and not self.unproven


class Holder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that holds GPUs."""

    job: JobId
    attempt: int
    owner: str = ""
    priority: int = 0
    preemptible: bool = False
    age: float = 0.0  # since it was given its place
    ends_in: float | None = None  # until it has to end; None: nobody knows
    gives_way_in: float | None = None  # until it is preempted, once it was warned
    ending: bool = False  # it is on its way out: its GPUs come back as soon as it is gone
    stuck: bool = False  # ... and has been for so long that nobody knows when that is

    @property
    def back_in(self) -> float:
        """When its GPUs come back at the latest; infinite where nobody knows."""
        if self.ending:
            return inf if self.stuck else 0.0
        known = [end for end in (self.ends_in, self.gives_way_in) if end is not None]
        return max(0.0, min(known)) if known else inf


class Quota(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GPUs that an owner may have: `nominal` always, and `borrow` more (None: any number) of what
    others of its cohort may have and don't use."""

    owner: str
    gpu_type: str  # `*`: all types together
    nominal: int
    borrow: int | None = None
    cohort: str = ""


class Owner(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an owner counts. One that is not told of has these defaults."""

    owner: str
    weight: float = 1.0  # its part of what is shared
    used: dict[str, float] = {}  # GPUs by type that it had of late: a mean that decays by age
    spent: bool = False  # its budget is reached: nothing more of it starts


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A target's queue at one moment.

    `waiting` need not be all who wait: of each owner and class it holds the first ones. `behind` is
    how many more of an owner's wait than are here.
    """

    waiting: list[Waiting]
    slots: list[Slot]
    holders: dict[JobId, Holder] = {}
    quotas: list[Quota] = []
    owners: dict[str, Owner] = {}
    behind: dict[str, int] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    notice: float = 30.0  # seconds that a job has to give way, once warned
    kept: float = 60.0  # seconds from its place in which nobody has to give way again
    slack: float = 0.0  # seconds by which a reserved start may be put off by those who pass


class Placement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    job: JobId
    attempt: int
    gpus: tuple[str, ...] = ()  # copy by copy
    granted: int = 0  # copies that it might run before
    copies: int = 1  # that it may run now


class Yielding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that is to be warned, and then to give way."""

    job: JobId
    attempt: int
    to: JobId
    reason: str  # one line for a person


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    placements: list[Placement]
    yielding: list[Yielding] = []  # to be warned now
    reasons: dict[JobId, str] = {}  # of those that go on waiting: one line for a person
    waits: dict[JobId, Waits] = {}  # ... and in parts
    let_off: list[JobId] = []  # those warned before whom nobody waits for any more
