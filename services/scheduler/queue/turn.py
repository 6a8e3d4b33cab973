"""A job that has its turn, what it was given, what it keeps; and what it goes on waiting for."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from services.scheduler.queue.quota import Row
from services.scheduler.queue.values import Slot, Waiting
from services.scheduler.queue.wish import Wish
from shared.ids import JobId
from shared.waits import Cause


class Turn:
    __slots__ = ("again", "borrows", "charged", "copies", "job", "kept", "kind", "slots", "wish")

    def __init__(self, job: Waiting, wish: Wish) -> None:
        self.job = job
        self.wish = wish
        self.slots: tuple[Slot, ...] = ()  # given to it
        self.copies = 0  # ... for so many
        self.kind = ""  # the type of these
        self.begin()

    def begin(self) -> None:
        """A new round."""
        self.borrows = False  # it may take what is not its owner's own
        self.again = False  # it has had its turn for that, and has another to borrow
        self.kept: tuple[str, ...] = ()  # types that it keeps
        self.charged: tuple[str, int] | None = None  # what it counts for while it waits

    @property
    def missing(self) -> int:
        return self.job.missing - self.copies

    @property
    def least(self) -> int:
        """Copies that have to be given at once."""
        return 1 if self.copies else self.wish.least


class Stay:
    """What a job goes on waiting for: words are made of it when all have had their turns."""

    __slots__ = ("ahead", "cause", "first", "job", "row", "starts_in", "wish", "yielding")

    def __init__(
        self,
        job: Waiting,
        wish: Wish,
        cause: Cause | None = None,
        *,
        ahead: int = 0,
        first: Sequence[JobId] = (),
        row: Row | None = None,
    ) -> None:
        self.job = job
        self.wish = wish
        self.cause = cause  # None: what is short of GPUs is to be seen at the end
        self.ahead = ahead
        self.first = tuple(first)
        self.row = row  # the quota that is short
        self.starts_in = inf
        self.yielding: tuple[JobId, ...] = ()  # those that give way to it
